//! Rows of `macro_state` and `macro_state_member`, how they are made and how they are written.

use chrono::{DateTime, Utc};
use events::{
    id::{MacroStateId, MicroStateId, OrgId, UserId},
    payload::value::IndexedText,
};
use sqlx::{PgConnection, query, query_file};

use super::{MacroState, columns, kind::Kind};
use crate::{
    copy::Copy,
    fold::Flags,
    write::{column, joined},
};

/// The rows of a batch.
#[derive(Debug, Default, PartialEq)]
pub struct Rows {
    /// Of `macro_state`.
    pub kinds: Vec<Row>,
    /// Of `macro_state_member`.
    pub members: Vec<MemberRow>,
    /// Macro-states to which nothing belongs any more, and which nobody has defined.
    pub gone_kinds: Vec<(OrgId, MacroStateId)>,
    /// Micro-states that belong to nothing any more.
    pub gone_members: Vec<(OrgId, MicroStateId)>,
}

/// A kind of screen.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The table's columns.
pub struct Row {
    pub org_id: OrgId,
    pub macro_state_id: MacroStateId,
    pub origin: &'static str,
    pub name: Option<String>,
    pub description: Option<String>,
    pub portal_type: Option<String>,
    pub label: Option<String>,
    pub defined_by: Option<UserId>,
    pub micro_states: i32,
    pub observed_count: i64,
    pub example_id: Option<MicroStateId>,
    pub first_seen_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub flags: Flags,
}

/// What a screen belongs to.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The table's columns.
pub struct MemberRow {
    pub org_id: OrgId,
    pub micro_state_id: MicroStateId,
    pub macro_state_id: MacroStateId,
    pub via: &'static str,
    pub cluster_id: Option<MacroStateId>,
    pub flags: Flags,
}

impl MacroState {
    pub(super) fn member_row(&self, org_id: OrgId, id: MicroStateId) -> Option<MemberRow> {
        let member = self.screens.get(&id)?.member.as_ref()?;
        Some(MemberRow {
            org_id,
            micro_state_id: id,
            macro_state_id: member.kind,
            via: member.via.as_str(),
            cluster_id: member.cluster.map(|place| self.cluster_id(place)),
            flags: unfoldable(member.unfoldable),
        })
    }

    /// None where there is nothing in it and nobody has defined it.
    pub(super) fn kind_row(&self, org_id: OrgId, id: MacroStateId) -> Option<Row> {
        let (kind, defined) = (self.kinds.get(&id), self.definitions.get(id));
        let text = |text: &IndexedText| text.as_str().to_owned();
        if kind.is_none() && defined.is_none() {
            return None;
        }
        let (origin, label) = match (defined, kind.and_then(|kind| kind.label.as_ref())) {
            (Some(defined), _) => ("defined", defined.label.as_ref().map(text)),
            (None, Some(label)) => ("label", Some(label.to_string())),
            (None, None) => ("cluster", None),
        };
        let first_seen = kind.and_then(Kind::first_seen);
        Some(Row {
            org_id,
            macro_state_id: id,
            origin,
            name: defined.map(|defined| text(&defined.name)),
            description: defined.and_then(|it| it.description.as_ref()).map(|text| text.as_str().to_owned()),
            portal_type: defined.and_then(|defined| defined.portal_type.as_ref()).map(text),
            label,
            defined_by: defined.and_then(|defined| defined.defined_by),
            micro_states: kind.map_or(0, Kind::len) as i32,
            observed_count: kind.map_or(0, |kind| kind.observed_count),
            example_id: first_seen.map(|(_, id)| id),
            first_seen_at: first_seen.map(|(at, _)| at),
            last_seen_at: kind.and_then(Kind::last_seen_at),
            flags: unfoldable(self.unfoldable_definitions.contains(&id)),
        })
    }
}

fn unfoldable(is_so: bool) -> Flags {
    is_so.then_some("unfoldable_event").into_iter().collect()
}

impl Rows {
    pub(super) fn weight(&self) -> usize {
        const TEXTS: usize = 200;
        self.kinds.len() * (size_of::<Row>() + TEXTS)
            + self.members.len() * size_of::<MemberRow>()
            + (self.gone_kinds.len() + self.gone_members.len()) * size_of::<(OrgId, MacroStateId)>()
    }

    /// The rows as COPY takes them: into empty tables, where there is nothing to be taken out.
    pub(super) fn copy(&self) -> Vec<Copy> {
        vec![
            Copy::of("macro_state", columns::MACRO_STATE, &self.kinds),
            Copy::of("macro_state_member", columns::MEMBER, &self.members),
        ]
    }

    pub(super) async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        upsert(&self.kinds, conn).await?;
        upsert_members(&self.members, conn).await?;
        delete(&self.gone_kinds, conn).await?;
        delete_members(&self.gone_members, conn).await
    }
}

async fn upsert(rows: &[Row], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/macro_state/upsert.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.macro_state_id.uuid()),
        &column(rows, |row| row.origin) as _,
        &column(rows, |row| row.name.as_deref()) as _,
        &column(rows, |row| row.description.as_deref()) as _,
        &column(rows, |row| row.portal_type.as_deref()) as _,
        &column(rows, |row| row.label.as_deref()) as _,
        &column(rows, |row| row.defined_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.micro_states),
        &column(rows, |row| row.observed_count),
        &column(rows, |row| row.example_id.map(MicroStateId::uuid)) as _,
        &column(rows, |row| row.first_seen_at) as _,
        &column(rows, |row| row.last_seen_at) as _,
        &column(rows, |row| joined(&row.flags)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_members(rows: &[MemberRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/macro_state/upsert_members.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.micro_state_id.uuid()),
        &column(rows, |row| row.macro_state_id.uuid()),
        &column(rows, |row| row.via) as _,
        &column(rows, |row| row.cluster_id.map(MacroStateId::uuid)) as _,
        &column(rows, |row| joined(&row.flags)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn delete(gone: &[(OrgId, MacroStateId)], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if gone.is_empty() {
        return Ok(());
    }
    query!(
        "DELETE FROM macro_state WHERE (org_id, macro_state_id) IN (SELECT * FROM UNNEST($1::uuid[], $2::uuid[]))",
        &column(gone, |(org_id, _)| org_id.uuid()),
        &column(gone, |(_, id)| id.uuid())
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn delete_members(gone: &[(OrgId, MicroStateId)], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if gone.is_empty() {
        return Ok(());
    }
    query!(
        "DELETE FROM macro_state_member
         WHERE (org_id, micro_state_id) IN (SELECT * FROM UNNEST($1::uuid[], $2::uuid[]))",
        &column(gone, |(org_id, _)| org_id.uuid()),
        &column(gone, |(_, id)| id.uuid())
    )
    .execute(conn)
    .await?;
    Ok(())
}

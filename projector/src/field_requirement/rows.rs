use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::id::{EventId, OrgId, PayerId, TaskTypeId, UserId};
use sqlx::{PgConnection, query_file};

use super::{About, Change, Tier, columns};
use crate::{copy::Copy, fold::Stamp, write::column};

/// Rows on their way into the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of `field_requirement`.
    pub global: Vec<RequirementRow>,
    /// Of `payer_requirement`.
    pub payer: Vec<RequirementRow>,
    /// Of `org_requirement_policy`.
    pub org: Vec<RequirementRow>,
    /// Of `requirement_changelog`.
    pub changes: Vec<ChangeRow>,
}

/// A row of one of the three tiers' tables; `rule` and `validation` are JSON. Which columns there are is the table's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct RequirementRow {
    pub org_id: OrgId,
    pub payer_id: Option<PayerId>,
    pub task_type_id: TaskTypeId,
    pub field: String,
    pub action: Option<&'static str>,
    pub level: Option<&'static str>,
    pub rule: Option<String>,
    pub validation: Option<String>,
    pub help_text: Option<String>,
    pub status: &'static str,
    pub version: i32,
    pub reason: Option<String>,
    pub changed_by: Option<UserId>,
    pub event_id: EventId,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A row of `requirement_changelog`; `before` and `after` are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct ChangeRow {
    pub org_id: OrgId,
    pub event_id: EventId,
    pub tier: Tier,
    pub payer_id: Option<PayerId>,
    pub task_type_id: TaskTypeId,
    pub field: String,
    pub version: i32,
    pub change: &'static str,
    pub before: Option<String>,
    pub after: Option<String>,
    pub reason: Option<String>,
    pub changed_by: Option<UserId>,
    pub changed_at: DateTime<Utc>,
    pub superseded_at: Option<DateTime<Utc>>,
}

impl Rows {
    /// The requirement as its last change leaves it, and the changes whose rows are others than before: that at `first`,
    /// the one before it, and all that follow. Says about how many bytes they are.
    pub(super) fn add(&mut self, about: &About, field: &str, changes: &BTreeMap<Stamp, Change>, first: Stamp) -> usize {
        let from = changes.range(..first).next_back().map_or(first, |(stamp, _)| *stamp);
        let mut predecessor = changes.range(..from).next_back().map(|(_, change)| change);
        let later: Vec<_> = changes.range(from..).collect();
        let mut bytes = 0;
        for (place, (stamp, change)) in later.iter().enumerate() {
            let row = ChangeRow {
                org_id: about.org_id,
                event_id: stamp.event_id,
                tier: about.tier,
                payer_id: about.payer_id,
                task_type_id: about.task_type_id,
                field: field.to_owned(),
                version: (changes.len() - later.len() + place + 1) as i32,
                change: change.kind(),
                before: predecessor.and_then(Change::terms_json),
                after: change.terms_json(),
                reason: change.reason.clone(),
                changed_by: change.by,
                changed_at: stamp.time,
                superseded_at: later.get(place + 1).map(|(next, _)| next.time),
            };
            predecessor = Some(change);
            bytes += row.weight();
            self.changes.push(row);
        }
        bytes + self.add_requirement(about, field, changes)
    }

    fn add_requirement(&mut self, about: &About, field: &str, changes: &BTreeMap<Stamp, Change>) -> usize {
        let (Some((earliest, _)), Some((stamp, change))) = (changes.first_key_value(), changes.last_key_value()) else {
            return 0;
        };
        let terms = change.terms.as_ref();
        let row = RequirementRow {
            org_id: about.org_id,
            payer_id: about.payer_id,
            task_type_id: about.task_type_id,
            field: field.to_owned(),
            action: terms.and_then(|terms| terms.action),
            level: terms.and_then(|terms| terms.level),
            rule: terms.and_then(|terms| terms.rule.as_ref()).map(ToString::to_string),
            validation: terms.and_then(|terms| terms.validation.as_ref()).map(ToString::to_string),
            help_text: terms.and_then(|terms| terms.help_text.clone()),
            status: change.status(),
            version: changes.len() as i32,
            reason: change.reason.clone(),
            changed_by: change.by,
            event_id: stamp.event_id,
            created_at: earliest.time,
            updated_at: stamp.time,
        };
        let bytes = row.weight();
        match about.tier {
            Tier::Global => self.global.push(row),
            Tier::Payer => self.payer.push(row),
            Tier::Org | Tier::OrgPayer => self.org.push(row),
        }
        bytes
    }

    /// The rows as COPY takes them.
    pub fn copy(&self) -> Vec<Copy> {
        vec![
            Copy::of("field_requirement", &columns::global(), &self.global),
            Copy::of("payer_requirement", &columns::payer(), &self.payer),
            Copy::of("org_requirement_policy", &columns::org(), &self.org),
            Copy::of("requirement_changelog", columns::CHANGE, &self.changes),
        ]
    }

    /// Inserts or replaces the rows: a statement a table.
    pub async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        upsert_global(&self.global, conn).await?;
        upsert_payer(&self.payer, conn).await?;
        upsert_org(&self.org, conn).await?;
        upsert_changes(&self.changes, conn).await
    }
}

impl RequirementRow {
    fn weight(&self) -> usize {
        let texts = [&self.rule, &self.validation, &self.help_text, &self.reason];
        size_of::<Self>() + self.field.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

impl ChangeRow {
    fn weight(&self) -> usize {
        let texts = [&self.before, &self.after, &self.reason];
        size_of::<Self>() + self.field.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// The three tiers' tables are filled by statements that take the same arrays; each leaves out what it has no column for.
macro_rules! upsert {
    ($($name:ident = $file:literal)+) => {$(
        async fn $name(rows: &[RequirementRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
            if rows.is_empty() {
                return Ok(());
            }
            query_file!(
                $file,
                &column(rows, |row| row.org_id.uuid()),
                &column(rows, |row| row.payer_id.map(PayerId::uuid)) as _,
                &column(rows, |row| row.task_type_id.uuid()),
                &column(rows, |row| row.field.as_str()) as _,
                &column(rows, |row| row.action) as _,
                &column(rows, |row| row.level) as _,
                &column(rows, |row| row.rule.as_deref()) as _,
                &column(rows, |row| row.validation.as_deref()) as _,
                &column(rows, |row| row.help_text.as_deref()) as _,
                &column(rows, |row| row.status) as _,
                &column(rows, |row| row.version),
                &column(rows, |row| row.reason.as_deref()) as _,
                &column(rows, |row| row.changed_by.map(UserId::uuid)) as _,
                &column(rows, |row| row.event_id.uuid()),
                &column(rows, |row| row.created_at),
                &column(rows, |row| row.updated_at),
            )
            .execute(conn)
            .await?;
            Ok(())
        }
    )+};
}

upsert! {
    upsert_global = "src/field_requirement/upsert_global.sql"
    upsert_payer = "src/field_requirement/upsert_payer.sql"
    upsert_org = "src/field_requirement/upsert_org.sql"
}

async fn upsert_changes(rows: &[ChangeRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/field_requirement/upsert_changes.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.event_id.uuid()),
        &column(rows, |row| row.tier.as_str()) as _,
        &column(rows, |row| row.payer_id.map(PayerId::uuid)) as _,
        &column(rows, |row| row.task_type_id.uuid()),
        &column(rows, |row| row.field.as_str()) as _,
        &column(rows, |row| row.version),
        &column(rows, |row| row.change) as _,
        &column(rows, |row| row.before.as_deref()) as _,
        &column(rows, |row| row.after.as_deref()) as _,
        &column(rows, |row| row.reason.as_deref()) as _,
        &column(rows, |row| row.changed_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.changed_at),
        &column(rows, |row| row.superseded_at) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

//! Orgs: `organization`. The org is its own subject.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{EventId, OrgId},
    payload::value::{Object, Text},
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::{Column, Copy},
    fold::{Latest, Span, Stamp, object},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
    write::column,
};

/// What the events of an org say about it.
#[derive(Debug, Default)]
pub struct Organization {
    seen: HashSet<EventId>,
    changed: bool,
    span: Span,
    name: Latest<String>,
    org_type: Latest<String>,
    settings: Latest<String>,
    active: Latest<bool>,
}

/// A row of `organization`; `settings` is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct OrganizationRow {
    pub org_id: OrgId,
    pub name: String,
    pub org_type: Option<String>,
    pub settings: String,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

const COLUMNS: &[Column<OrganizationRow>] = &[
    ("org_id", |row, value| value.uuid(row.org_id.uuid())),
    ("name", |row, value| value.text(row.name.as_str())),
    ("org_type", |row, value| value.text(row.org_type.as_deref())),
    ("settings", |row, value| value.jsonb(row.settings.as_str())),
    ("status", |row, value| value.text(row.status)),
    ("created_at", |row, value| value.timestamptz(row.created_at)),
    ("updated_at", |row, value| value.timestamptz(row.updated_at)),
];

impl Projection for Organization {
    const NAME: &'static str = "organization";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["organization"];
    const FAMILIES: &'static [&'static str] = &["org"];
    const TYPES: &'static [&'static str] = &["org.registered", "org.updated", "org.deactivated"];
    type Rows = Vec<OrganizationRow>;

    fn apply(&mut self, event: FoldEvent<'_>) {
        if !self.seen.insert(event.stamp.event_id) {
            return;
        }
        let Content::Payload(payload) = event.content else { return };
        let stamp = event.stamp;
        self.changed = true;
        self.span.include(stamp.time);
        match *payload {
            Payload::OrgRegistered(sent) => {
                self.active.offer(stamp, true);
                self.know(stamp, sent.name, sent.org_type, sent.settings);
            }
            Payload::OrgUpdated(sent) => self.know(stamp, sent.name, sent.org_type, sent.settings),
            Payload::OrgDeactivated(_) => self.active.offer(stamp, false),
            // The families of other projections, which never get here: see `TYPES`.
            _ => {}
        }
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Self::Rows) -> usize {
        if !std::mem::take(&mut self.changed) {
            return 0;
        }
        rows.extend(self.row(subject.org_id));
        self.weight()
    }

    fn forget_changes(&mut self) {
        self.changed = false;
    }

    fn copy(rows: &Self::Rows) -> Vec<Copy> {
        vec![Copy::of(Self::NAME, COLUMNS, rows)]
    }

    fn weight(&self) -> usize {
        let texts = [&self.name, &self.org_type, &self.settings].map(|text| text.get().map_or(0, String::len));
        size_of::<Self>() + self.seen.len() * 32 + texts.iter().sum::<usize>()
    }

    async fn write(rows: &Self::Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        query_file!(
            "src/organization/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.name.as_str()) as _,
            &column(rows, |row| row.org_type.as_deref()) as _,
            &column(rows, |row| row.settings.as_str()) as _,
            &column(rows, |row| row.status) as _,
            &column(rows, |row| row.created_at),
            &column(rows, |row| row.updated_at),
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

impl Organization {
    fn know(&mut self, stamp: Stamp, name: Text, org_type: Option<Text>, settings: Option<Object>) {
        self.name.offer(stamp, name.into());
        self.org_type.offer_some(stamp, org_type.map(String::from));
        self.settings.offer_some(stamp, settings.as_ref().map(object::to_json));
    }

    /// The org's row, once its name is known.
    fn row(&self, org_id: OrgId) -> Option<OrganizationRow> {
        let (created_at, updated_at) = self.span.bounds()?;
        Some(OrganizationRow {
            org_id,
            name: self.name.get()?.clone(),
            org_type: self.org_type.get().cloned(),
            settings: self.settings.get().cloned().unwrap_or_else(|| "{}".to_owned()),
            status: if self.active.get() == Some(&false) { "deactivated" } else { "active" },
            created_at,
            updated_at,
        })
    }
}

#[cfg(test)]
mod tests;

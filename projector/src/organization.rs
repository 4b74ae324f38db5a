//! Orgs: `organization`. The org is its own subject.

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::OrgId,
    payload::value::{Object, Text},
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::Column,
    entity::{Attributes, Entity, Standing},
    fold::{Latest, Stamp, object},
    write::column,
};

/// The fold of an org's events.
pub type Organization = Entity<OrganizationAttributes>;

/// What the events of an org say about it.
#[derive(Debug, Default)]
pub struct OrganizationAttributes {
    name: Latest<String>,
    org_type: Latest<String>,
    settings: Latest<String>,
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

impl Attributes for OrganizationAttributes {
    const TABLE: &'static str = "organization";
    const VERSION: i32 = 1;
    const FAMILY: &'static str = "org";
    const TYPES: &'static [&'static str] = &["org.registered", "org.updated", "org.deactivated"];
    type Row = OrganizationRow;
    const COLUMNS: &'static [Column<OrganizationRow>] = &[
        ("org_id", |row, value| value.uuid(row.org_id.uuid())),
        ("name", |row, value| value.text(row.name.as_str())),
        ("org_type", |row, value| value.text(row.org_type.as_deref())),
        ("settings", |row, value| value.jsonb(row.settings.as_str())),
        ("status", |row, value| value.text(row.status)),
        ("created_at", |row, value| value.timestamptz(row.created_at)),
        ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ];

    fn learn(&mut self, stamp: Stamp, payload: Payload) -> Option<bool> {
        match payload {
            Payload::OrgRegistered(sent) => {
                self.know(stamp, sent.name, sent.org_type, sent.settings);
                Some(true)
            }
            Payload::OrgUpdated(sent) => {
                self.know(stamp, sent.name, sent.org_type, sent.settings);
                None
            }
            Payload::OrgDeactivated(_) => Some(false),
            // The families of other projections, which never get here: see `TYPES`.
            _ => None,
        }
    }

    fn row(&self, standing: Standing) -> Option<OrganizationRow> {
        Some(OrganizationRow {
            org_id: standing.subject.org_id,
            name: self.name.get()?.clone(),
            org_type: self.org_type.get().cloned(),
            settings: self.settings.get().cloned().unwrap_or_else(|| "{}".to_owned()),
            status: standing.status("deactivated"),
            created_at: standing.created_at,
            updated_at: standing.updated_at,
        })
    }

    async fn upsert(rows: &[OrganizationRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
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

impl OrganizationAttributes {
    fn know(&mut self, stamp: Stamp, name: Text, org_type: Option<Text>, settings: Option<Object>) {
        self.name.offer(stamp, name.into());
        self.org_type.offer_some(stamp, org_type.map(String::from));
        self.settings.offer_some(stamp, settings.as_ref().map(object::to_json));
    }
}

#[cfg(test)]
mod tests;

//! Kinds of portals: `portal_type`. The subject is the portal type.

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{OrgId, PortalTypeId},
    payload::PortalTypeDefined,
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::Column,
    entity::{Attributes, Entity, Standing},
    fold::{Latest, Stamp, object},
    write::column,
};

/// The fold of a portal type's events.
pub type PortalType = Entity<PortalTypeAttributes>;

/// The latest definition.
#[derive(Debug, Default)]
pub struct PortalTypeAttributes(Latest<PortalTypeDefined>);

/// A row of `portal_type`; `settings` is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct PortalTypeRow {
    pub org_id: OrgId,
    pub portal_type_id: PortalTypeId,
    pub name: String,
    pub description: Option<String>,
    pub channel_type: Option<String>,
    pub base_url: Option<String>,
    pub settings: String,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Attributes for PortalTypeAttributes {
    const TABLE: &'static str = "portal_type";
    const VERSION: i32 = 1;
    const FAMILY: &'static str = "portal_type";
    const TYPES: &'static [&'static str] = &["portal_type.defined", "portal_type.retired"];
    type Row = PortalTypeRow;
    const COLUMNS: &'static [Column<PortalTypeRow>] = &[
        ("org_id", |row, value| value.uuid(row.org_id.uuid())),
        ("portal_type_id", |row, value| value.uuid(row.portal_type_id.uuid())),
        ("name", |row, value| value.text(row.name.as_str())),
        ("description", |row, value| value.text(row.description.as_deref())),
        ("channel_type", |row, value| value.text(row.channel_type.as_deref())),
        ("base_url", |row, value| value.text(row.base_url.as_deref())),
        ("settings", |row, value| value.jsonb(row.settings.as_str())),
        ("status", |row, value| value.text(row.status)),
        ("created_at", |row, value| value.timestamptz(row.created_at)),
        ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ];

    fn learn(&mut self, stamp: Stamp, payload: Payload) -> Option<bool> {
        match payload {
            Payload::PortalTypeDefined(sent) => {
                self.0.offer(stamp, sent);
                Some(true)
            }
            Payload::PortalTypeRetired(_) => Some(false),
            // The families of other projections, which never get here: see `TYPES`.
            _ => None,
        }
    }

    fn row(&self, standing: Standing) -> Option<PortalTypeRow> {
        let PortalTypeDefined { name, description, channel_type, base_url, settings } = self.0.get()?.clone();
        Some(PortalTypeRow {
            org_id: standing.subject.org_id,
            portal_type_id: PortalTypeId::try_from(standing.subject.subject_id.uuid()).ok()?,
            name: name.into(),
            description: description.map(String::from),
            channel_type: channel_type.map(String::from),
            base_url: base_url.map(String::from),
            settings: object::to_json(&settings.unwrap_or_default()),
            status: standing.status("retired"),
            created_at: standing.created_at,
            updated_at: standing.updated_at,
        })
    }

    async fn upsert(rows: &[PortalTypeRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        query_file!(
            "src/portal_type/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.portal_type_id.uuid()),
            &column(rows, |row| row.name.as_str()) as _,
            &column(rows, |row| row.description.as_deref()) as _,
            &column(rows, |row| row.channel_type.as_deref()) as _,
            &column(rows, |row| row.base_url.as_deref()) as _,
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

#[cfg(test)]
mod tests;

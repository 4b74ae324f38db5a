//! Portal accounts, telephone and fax lines: `integration_endpoint`. The subject is the endpoint. No secrets stand
//! here, only their names: the door refuses whatever looks like one.

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{EndpointId, OrgId, PortalTypeId},
    payload::EndpointUpdated,
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::Column,
    entity::{Attributes, Entity, Standing},
    fold::{Latest, Stamp, object},
    write::column,
};

/// The fold of an endpoint's events.
pub type IntegrationEndpoint = Entity<EndpointAttributes>;

/// What the events of an endpoint say about it.
#[derive(Debug, Default)]
pub struct EndpointAttributes {
    name: Latest<String>,
    portal_type_id: Latest<PortalTypeId>,
    channel_type: Latest<String>,
    auth_type: Latest<String>,
    base_url: Latest<String>,
    settings: Latest<String>,
    secret_ref: Latest<String>,
}

/// A row of `integration_endpoint`; `settings` is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct IntegrationEndpointRow {
    pub org_id: OrgId,
    pub endpoint_id: EndpointId,
    pub name: String,
    pub portal_type_id: Option<PortalTypeId>,
    pub channel_type: Option<String>,
    pub auth_type: Option<String>,
    pub base_url: Option<String>,
    pub settings: String,
    pub secret_ref: Option<String>,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Attributes for EndpointAttributes {
    const TABLE: &'static str = "integration_endpoint";
    const VERSION: i32 = 1;
    const FAMILY: &'static str = "endpoint";
    const TYPES: &'static [&'static str] = &["endpoint.registered", "endpoint.updated", "endpoint.retired"];
    type Row = IntegrationEndpointRow;
    const COLUMNS: &'static [Column<IntegrationEndpointRow>] = &[
        ("org_id", |row, value| value.uuid(row.org_id.uuid())),
        ("endpoint_id", |row, value| value.uuid(row.endpoint_id.uuid())),
        ("name", |row, value| value.text(row.name.as_str())),
        ("portal_type_id", |row, value| value.uuid(row.portal_type_id.map(PortalTypeId::uuid))),
        ("channel_type", |row, value| value.text(row.channel_type.as_deref())),
        ("auth_type", |row, value| value.text(row.auth_type.as_deref())),
        ("base_url", |row, value| value.text(row.base_url.as_deref())),
        ("settings", |row, value| value.jsonb(row.settings.as_str())),
        ("secret_ref", |row, value| value.text(row.secret_ref.as_deref())),
        ("status", |row, value| value.text(row.status)),
        ("created_at", |row, value| value.timestamptz(row.created_at)),
        ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ];

    fn learn(&mut self, stamp: Stamp, payload: Payload) -> Option<bool> {
        match payload {
            Payload::EndpointRegistered(sent) => {
                self.know(stamp, sent.into());
                Some(true)
            }
            Payload::EndpointUpdated(sent) => {
                self.know(stamp, sent);
                None
            }
            Payload::EndpointRetired(_) => Some(false),
            // The families of other projections, which never get here: see `TYPES`.
            _ => None,
        }
    }

    fn row(&self, standing: Standing) -> Option<IntegrationEndpointRow> {
        Some(IntegrationEndpointRow {
            org_id: standing.subject.org_id,
            endpoint_id: EndpointId::try_from(standing.subject.subject_id.uuid()).ok()?,
            name: self.name.get()?.clone(),
            portal_type_id: self.portal_type_id.get().copied(),
            channel_type: self.channel_type.get().cloned(),
            auth_type: self.auth_type.get().cloned(),
            base_url: self.base_url.get().cloned(),
            settings: self.settings.get().cloned().unwrap_or_else(|| "{}".to_owned()),
            secret_ref: self.secret_ref.get().cloned(),
            status: standing.status("retired"),
            created_at: standing.created_at,
            updated_at: standing.updated_at,
        })
    }

    async fn upsert(rows: &[IntegrationEndpointRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        query_file!(
            "src/integration_endpoint/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.endpoint_id.uuid()),
            &column(rows, |row| row.name.as_str()) as _,
            &column(rows, |row| row.portal_type_id.map(PortalTypeId::uuid)) as _,
            &column(rows, |row| row.channel_type.as_deref()) as _,
            &column(rows, |row| row.auth_type.as_deref()) as _,
            &column(rows, |row| row.base_url.as_deref()) as _,
            &column(rows, |row| row.settings.as_str()) as _,
            &column(rows, |row| row.secret_ref.as_deref()) as _,
            &column(rows, |row| row.status) as _,
            &column(rows, |row| row.created_at),
            &column(rows, |row| row.updated_at),
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

impl EndpointAttributes {
    fn know(&mut self, stamp: Stamp, sent: EndpointUpdated) {
        self.name.offer_some(stamp, sent.name.map(String::from));
        self.portal_type_id.offer_some(stamp, sent.portal_type_id);
        self.channel_type.offer_some(stamp, sent.channel_type.map(String::from));
        self.auth_type.offer_some(stamp, sent.auth_type.map(String::from));
        self.base_url.offer_some(stamp, sent.base_url.map(String::from));
        self.settings.offer_some(stamp, sent.settings.as_ref().map(object::to_json));
        self.secret_ref.offer_some(stamp, sent.secret_ref.map(String::from));
    }
}

#[cfg(test)]
mod tests;

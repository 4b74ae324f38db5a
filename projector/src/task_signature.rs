//! How tasks are carried out: `task_signature`, as recorded. The subject is the signature. What an alias inherits
//! is no part of its row, because a cycle of aliases may span events of several subjects: the view
//! `resolved_task_signature` follows them.

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{EndpointId, OrgId, PortalTypeId, TaskSignatureId, TaskTypeId},
    payload::TaskSignatureRecorded,
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::Column,
    entity::{Attributes, Entity, Standing},
    fold::{Latest, Stamp},
    write::{column, json_array, texts},
};

/// The fold of a signature's events.
pub type TaskSignature = Entity<TaskSignatureAttributes>;

/// What was recorded last.
#[derive(Debug, Default)]
pub struct TaskSignatureAttributes(Latest<TaskSignatureRecorded>);

/// A row of `task_signature`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct TaskSignatureRow {
    pub org_id: OrgId,
    pub task_signature_id: TaskSignatureId,
    pub portal_type_id: Option<PortalTypeId>,
    pub endpoint_id: Option<EndpointId>,
    pub task_type_id: Option<TaskTypeId>,
    pub step_labels: Vec<String>,
    pub source: &'static str,
    pub alias_of: Option<TaskSignatureId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Attributes for TaskSignatureAttributes {
    const TABLE: &'static str = "task_signature";
    const VERSION: i32 = 1;
    const FAMILY: &'static str = "task_signature";
    const TYPES: &'static [&'static str] = &["task_signature.recorded"];
    type Row = TaskSignatureRow;
    const COLUMNS: &'static [Column<TaskSignatureRow>] = &[
        ("org_id", |row, value| value.uuid(row.org_id.uuid())),
        ("task_signature_id", |row, value| value.uuid(row.task_signature_id.uuid())),
        ("portal_type_id", |row, value| value.uuid(row.portal_type_id.map(PortalTypeId::uuid))),
        ("endpoint_id", |row, value| value.uuid(row.endpoint_id.map(EndpointId::uuid))),
        ("task_type_id", |row, value| value.uuid(row.task_type_id.map(TaskTypeId::uuid))),
        ("step_labels", |row, value| value.text_array(row.step_labels.iter().map(String::as_str))),
        ("source", |row, value| value.text(row.source)),
        ("alias_of", |row, value| value.uuid(row.alias_of.map(TaskSignatureId::uuid))),
        ("created_at", |row, value| value.timestamptz(row.created_at)),
        ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ];

    fn learn(&mut self, stamp: Stamp, payload: Payload) -> Option<bool> {
        if let Payload::TaskSignatureRecorded(sent) = payload {
            self.0.offer(stamp, sent);
        }
        None
    }

    fn row(&self, standing: Standing) -> Option<TaskSignatureRow> {
        let recorded = self.0.get()?;
        Some(TaskSignatureRow {
            org_id: standing.subject.org_id,
            task_signature_id: TaskSignatureId::try_from(standing.subject.subject_id.uuid()).ok()?,
            portal_type_id: recorded.portal_type_id,
            endpoint_id: recorded.endpoint_id,
            task_type_id: recorded.task_type_id,
            step_labels: recorded.step_labels.as_ref().map(texts).unwrap_or_default(),
            source: recorded.source.as_str(),
            alias_of: recorded.alias_of,
            created_at: standing.created_at,
            updated_at: standing.updated_at,
        })
    }

    async fn upsert(rows: &[TaskSignatureRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        query_file!(
            "src/task_signature/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.task_signature_id.uuid()),
            &column(rows, |row| row.portal_type_id.map(PortalTypeId::uuid)) as _,
            &column(rows, |row| row.endpoint_id.map(EndpointId::uuid)) as _,
            &column(rows, |row| row.task_type_id.map(TaskTypeId::uuid)) as _,
            &column(rows, |row| json_array(&row.step_labels)),
            &column(rows, |row| row.source) as _,
            &column(rows, |row| row.alias_of.map(TaskSignatureId::uuid)) as _,
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

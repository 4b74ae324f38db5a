//! Kinds of tasks: `task_type`. The subject is the task type.

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{OrgId, TaskTypeId},
    payload::TaskTypeDefined,
};
use sqlx::{PgConnection, query_file};

use crate::{
    copy::Column,
    entity::{Attributes, Entity, Standing},
    fold::{Latest, Stamp},
    write::column,
};

/// The fold of a task type's events.
pub type TaskType = Entity<TaskTypeAttributes>;

/// The latest definition.
#[derive(Debug, Default)]
pub struct TaskTypeAttributes(Latest<TaskTypeDefined>);

/// A row of `task_type`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct TaskTypeRow {
    pub org_id: OrgId,
    pub task_type_id: TaskTypeId,
    pub domain: String,
    pub action: String,
    pub display_name: String,
    pub description: Option<String>,
    pub x12_transaction: Option<String>,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Attributes for TaskTypeAttributes {
    const TABLE: &'static str = "task_type";
    const VERSION: i32 = 1;
    const FAMILY: &'static str = "task_type";
    const TYPES: &'static [&'static str] = &["task_type.defined", "task_type.retired"];
    type Row = TaskTypeRow;
    const COLUMNS: &'static [Column<TaskTypeRow>] = &[
        ("org_id", |row, value| value.uuid(row.org_id.uuid())),
        ("task_type_id", |row, value| value.uuid(row.task_type_id.uuid())),
        ("domain", |row, value| value.text(row.domain.as_str())),
        ("action", |row, value| value.text(row.action.as_str())),
        ("display_name", |row, value| value.text(row.display_name.as_str())),
        ("description", |row, value| value.text(row.description.as_deref())),
        ("x12_transaction", |row, value| value.text(row.x12_transaction.as_deref())),
        ("status", |row, value| value.text(row.status)),
        ("created_at", |row, value| value.timestamptz(row.created_at)),
        ("updated_at", |row, value| value.timestamptz(row.updated_at)),
    ];

    fn learn(&mut self, stamp: Stamp, payload: Payload) -> Option<bool> {
        match payload {
            Payload::TaskTypeDefined(sent) => {
                self.0.offer(stamp, sent);
                Some(true)
            }
            Payload::TaskTypeRetired(_) => Some(false),
            // The families of other projections, which never get here: see `TYPES`.
            _ => None,
        }
    }

    fn row(&self, standing: Standing) -> Option<TaskTypeRow> {
        let TaskTypeDefined { domain, action, display_name, description, x12_transaction } = self.0.get()?.clone();
        Some(TaskTypeRow {
            org_id: standing.subject.org_id,
            task_type_id: TaskTypeId::try_from(standing.subject.subject_id.uuid()).ok()?,
            domain: domain.into(),
            action: action.into(),
            display_name: display_name.into(),
            description: description.map(String::from),
            x12_transaction,
            status: standing.status("retired"),
            created_at: standing.created_at,
            updated_at: standing.updated_at,
        })
    }

    async fn upsert(rows: &[TaskTypeRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        query_file!(
            "src/task_type/upsert.sql",
            &column(rows, |row| row.org_id.uuid()),
            &column(rows, |row| row.task_type_id.uuid()),
            &column(rows, |row| row.domain.as_str()) as _,
            &column(rows, |row| row.action.as_str()) as _,
            &column(rows, |row| row.display_name.as_str()) as _,
            &column(rows, |row| row.description.as_deref()) as _,
            &column(rows, |row| row.x12_transaction.as_deref()) as _,
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

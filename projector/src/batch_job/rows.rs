use chrono::{DateTime, Utc};
use events::id::{BatchId, OrgId, RowId, RunId, UserId, WorkflowId};
use sqlx::{PgConnection, query_file};

use super::{columns, totals::Totals};
use crate::{
    copy::Copy,
    fold::{Flags, Status},
    write::{column, joined},
};

/// Rows on their way into the two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of `batch_job`.
    pub jobs: Vec<JobRow>,
    /// Of `batch_row`.
    pub rows: Vec<RowRow>,
}

/// A row of `batch_job`; `context` and `error_details` are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct JobRow {
    pub org_id: OrgId,
    pub batch_id: BatchId,
    pub name: Option<String>,
    pub status: Status,
    pub workflow_id: Option<WorkflowId>,
    pub workflow_revision: Option<i32>,
    pub external_id: Option<String>,
    pub rows_expected: Option<i32>,
    pub totals: Totals,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
    pub context: String,
    pub error_message: Option<String>,
    pub error_details: Option<String>,
    pub flags: Flags,
    pub submitted_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A row of `batch_row`; `error_details` is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct RowRow {
    pub org_id: OrgId,
    pub batch_id: BatchId,
    pub row_id: RowId,
    pub row_number: Option<i32>,
    pub status: Status,
    pub run_id: Option<RunId>,
    pub external_id: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
    pub error_message: Option<String>,
    pub error_details: Option<String>,
    pub flags: Flags,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl JobRow {
    /// About how many bytes the row is.
    pub fn weight(&self) -> usize {
        let texts = [&self.name, &self.external_id, &self.error_message, &self.error_details];
        size_of::<Self>() + self.context.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

impl RowRow {
    /// About how many bytes the row is.
    pub fn weight(&self) -> usize {
        let texts = [&self.external_id, &self.error_message, &self.error_details];
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

impl Rows {
    /// The rows as COPY takes them.
    pub fn copy(&self) -> Vec<Copy> {
        vec![Copy::of("batch_job", columns::JOB, &self.jobs), Copy::of("batch_row", columns::ROW, &self.rows)]
    }

    /// Inserts or replaces the rows: one statement a table.
    pub async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        upsert_jobs(&self.jobs, conn).await?;
        upsert_rows(&self.rows, conn).await
    }
}

async fn upsert_jobs(rows: &[JobRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/batch_job/upsert_jobs.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.batch_id.uuid()),
        &column(rows, |row| row.name.as_deref()) as _,
        &column(rows, |row| row.status.as_str()) as _,
        &column(rows, |row| row.workflow_id.map(WorkflowId::uuid)) as _,
        &column(rows, |row| row.workflow_revision) as _,
        &column(rows, |row| row.external_id.as_deref()) as _,
        &column(rows, |row| row.rows_expected) as _,
        &column(rows, |row| row.totals.total()),
        &column(rows, |row| row.totals.pending),
        &column(rows, |row| row.totals.running),
        &column(rows, |row| row.totals.completed),
        &column(rows, |row| row.totals.failed),
        &column(rows, |row| row.totals.skipped),
        &column(rows, |row| row.started_at) as _,
        &column(rows, |row| row.ended_at) as _,
        &column(rows, |row| row.duration_ms) as _,
        &column(rows, |row| row.context.as_str()) as _,
        &column(rows, |row| row.error_message.as_deref()) as _,
        &column(rows, |row| row.error_details.as_deref()) as _,
        &column(rows, |row| joined(&row.flags)),
        &column(rows, |row| row.submitted_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.created_at),
        &column(rows, |row| row.updated_at),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_rows(rows: &[RowRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/batch_job/upsert_rows.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.batch_id.uuid()),
        &column(rows, |row| row.row_id.uuid()),
        &column(rows, |row| row.row_number) as _,
        &column(rows, |row| row.status.as_str()) as _,
        &column(rows, |row| row.run_id.map(RunId::uuid)) as _,
        &column(rows, |row| row.external_id.as_deref()) as _,
        &column(rows, |row| row.started_at) as _,
        &column(rows, |row| row.ended_at) as _,
        &column(rows, |row| row.duration_ms) as _,
        &column(rows, |row| row.error_message.as_deref()) as _,
        &column(rows, |row| row.error_details.as_deref()) as _,
        &column(rows, |row| joined(&row.flags)),
        &column(rows, |row| row.created_at),
        &column(rows, |row| row.updated_at),
    )
    .execute(conn)
    .await?;
    Ok(())
}

use chrono::{DateTime, Utc};
use events::id::{NodeId, OrgId, RunId, StepId, UserId, WorkflowId};
use sqlx::{PgConnection, query_file};

use crate::{
    fold::{Flags, Status},
    write::{column, joined},
};

/// Rows on their way into the two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of `user_workflow_run`.
    pub runs: Vec<RunRow>,
    /// Of `user_workflow_run_step`.
    pub steps: Vec<StepRow>,
}

/// A row of `user_workflow_run`; object and array columns are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct RunRow {
    pub org_id: OrgId,
    pub run_id: RunId,
    pub workflow_id: Option<WorkflowId>,
    pub workflow_revision: Option<i32>,
    pub parent_run_id: Option<RunId>,
    pub status: Status,
    pub channel: Option<String>,
    pub external_id: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
    pub context: String,
    pub config_snapshot: String,
    pub endpoints_used: String,
    pub error_message: Option<String>,
    pub error_details: Option<String>,
    pub flags: Flags,
    pub created_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub legacy_trace_id: Option<i64>,
}

/// A row of `user_workflow_run_step`; object and array columns are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' meaning is the read model's")]
pub struct StepRow {
    pub org_id: OrgId,
    pub run_id: RunId,
    pub step_id: StepId,
    pub node_id: Option<NodeId>,
    pub step_number: Option<i32>,
    pub status: Status,
    pub retry_count: i32,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
    pub input_data: Option<String>,
    pub output_data: Option<String>,
    pub screenshots: String,
    pub events: String,
    pub error_message: Option<String>,
    pub error_details: Option<String>,
    pub metadata: String,
    pub flags: Flags,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub legacy_step_id: Option<i64>,
}

impl RunRow {
    /// About how many bytes the row is.
    pub fn weight(&self) -> usize {
        let texts = [&self.channel, &self.external_id, &self.error_message, &self.error_details];
        let texts = texts.into_iter().flatten().chain([&self.context, &self.config_snapshot, &self.endpoints_used]);
        size_of::<Self>() + texts.map(String::len).sum::<usize>()
    }
}

impl StepRow {
    /// About how many bytes the row is.
    pub fn weight(&self) -> usize {
        let texts = [&self.input_data, &self.output_data, &self.error_message, &self.error_details];
        let texts = texts.into_iter().flatten().chain([&self.screenshots, &self.events, &self.metadata]);
        size_of::<Self>() + texts.map(String::len).sum::<usize>()
    }
}

impl Rows {
    /// Inserts or replaces the rows, one statement a table.
    pub async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        upsert_runs(&self.runs, conn).await?;
        upsert_steps(&self.steps, conn).await
    }
}

async fn upsert_runs(rows: &[RunRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/user_workflow_run/upsert_runs.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.run_id.uuid()),
        &column(rows, |row| row.workflow_id.map(WorkflowId::uuid)) as _,
        &column(rows, |row| row.workflow_revision) as _,
        &column(rows, |row| row.parent_run_id.map(RunId::uuid)) as _,
        &column(rows, |row| row.status.as_str()) as _,
        &column(rows, |row| row.channel.as_deref()) as _,
        &column(rows, |row| row.external_id.as_deref()) as _,
        &column(rows, |row| row.started_at) as _,
        &column(rows, |row| row.ended_at) as _,
        &column(rows, |row| row.duration_ms) as _,
        &column(rows, |row| row.context.as_str()) as _,
        &column(rows, |row| row.config_snapshot.as_str()) as _,
        &column(rows, |row| row.endpoints_used.as_str()) as _,
        &column(rows, |row| row.error_message.as_deref()) as _,
        &column(rows, |row| row.error_details.as_deref()) as _,
        &column(rows, |row| joined(&row.flags)),
        &column(rows, |row| row.created_by.map(UserId::uuid)) as _,
        &column(rows, |row| row.created_at),
        &column(rows, |row| row.updated_at),
        &column(rows, |row| row.legacy_trace_id) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_steps(rows: &[StepRow], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query_file!(
        "src/user_workflow_run/upsert_steps.sql",
        &column(rows, |row| row.org_id.uuid()),
        &column(rows, |row| row.run_id.uuid()),
        &column(rows, |row| row.step_id.uuid()),
        &column(rows, |row| row.node_id.map(NodeId::uuid)) as _,
        &column(rows, |row| row.step_number) as _,
        &column(rows, |row| row.status.as_str()) as _,
        &column(rows, |row| row.retry_count),
        &column(rows, |row| row.started_at) as _,
        &column(rows, |row| row.ended_at) as _,
        &column(rows, |row| row.duration_ms) as _,
        &column(rows, |row| row.input_data.as_deref()) as _,
        &column(rows, |row| row.output_data.as_deref()) as _,
        &column(rows, |row| row.screenshots.as_str()) as _,
        &column(rows, |row| row.events.as_str()) as _,
        &column(rows, |row| row.error_message.as_deref()) as _,
        &column(rows, |row| row.error_details.as_deref()) as _,
        &column(rows, |row| row.metadata.as_str()) as _,
        &column(rows, |row| joined(&row.flags)),
        &column(rows, |row| row.created_at),
        &column(rows, |row| row.updated_at),
        &column(rows, |row| row.legacy_step_id) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

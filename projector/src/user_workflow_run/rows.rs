use chrono::{DateTime, Utc};
use events::id::{NodeId, OrgId, RunId, StepId, UserId, WorkflowId};
use serde::Serialize;
use sqlx::{Connection, PgConnection, query, query_file};

use super::columns;
use crate::{
    copy::Copy,
    fold::{Flags, Status},
    write::{column, joined, json, optional_json},
};

/// Rows on their way into the two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of `user_workflow_run`.
    pub runs: Vec<RunRow>,
    /// Of `user_workflow_run_step`.
    pub steps: Vec<StepRow>,
    /// Runs that have no rows in either table any more: retracted.
    pub retracted: Vec<(OrgId, RunId)>,
    /// Rows that retracted runs would have: tried, so that PostgreSQL may refuse them, and kept nowhere.
    pub withheld_runs: Vec<RunRow>,
    /// The same of their steps.
    pub withheld_steps: Vec<StepRow>,
}

/// A row of `user_workflow_run`; object and array columns are JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    #[serde(serialize_with = "json")]
    pub context: String,
    #[serde(serialize_with = "json")]
    pub config_snapshot: String,
    #[serde(serialize_with = "json")]
    pub endpoints_used: String,
    pub error_message: Option<String>,
    #[serde(serialize_with = "optional_json")]
    pub error_details: Option<String>,
    pub flags: Flags,
    pub created_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub legacy_trace_id: Option<i64>,
}

/// A row of `user_workflow_run_step`; object and array columns are JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    #[serde(serialize_with = "optional_json")]
    pub input_data: Option<String>,
    #[serde(serialize_with = "optional_json")]
    pub output_data: Option<String>,
    #[serde(serialize_with = "json")]
    pub screenshots: String,
    #[serde(serialize_with = "json")]
    pub events: String,
    pub error_message: Option<String>,
    #[serde(serialize_with = "optional_json")]
    pub error_details: Option<String>,
    #[serde(serialize_with = "json")]
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
    /// Where the rows of a run and of its steps belong.
    pub fn of_run(&mut self, is_retracted: bool) -> (&mut Vec<RunRow>, &mut Vec<StepRow>) {
        if is_retracted {
            (&mut self.withheld_runs, &mut self.withheld_steps)
        } else {
            (&mut self.runs, &mut self.steps)
        }
    }

    /// The rows as COPY takes them.
    pub fn copy(&self) -> Vec<Copy> {
        let runs = |rows| Copy::of("user_workflow_run", columns::RUN, rows);
        let steps = |rows| Copy::of("user_workflow_run_step", columns::STEP, rows);
        let mut copies = vec![runs(&self.runs), steps(&self.steps)];
        if !self.withheld_runs.is_empty() {
            copies.extend([runs(&self.withheld_runs), steps(&self.withheld_steps)].map(Copy::on_trial));
        }
        copies
    }

    /// Inserts or replaces the rows, and deletes those of retracted runs: one statement a table each.
    pub async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if !self.withheld_runs.is_empty() {
            let mut trial = conn.begin().await?;
            upsert_runs(&self.withheld_runs, &mut trial).await?;
            upsert_steps(&self.withheld_steps, &mut trial).await?;
            trial.rollback().await?;
        }
        delete_retracted(&self.retracted, conn).await?;
        upsert_runs(&self.runs, conn).await?;
        upsert_steps(&self.steps, conn).await
    }
}

async fn delete_retracted(runs: &[(OrgId, RunId)], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let (orgs, run_ids) = (column(runs, |(org_id, _)| org_id.uuid()), column(runs, |(_, run_id)| run_id.uuid()));
    query!(
        "DELETE FROM user_workflow_run_step WHERE (org_id, run_id) IN (SELECT * FROM UNNEST($1::uuid[], $2::uuid[]))",
        &orgs,
        &run_ids
    )
    .execute(&mut *conn)
    .await?;
    query!(
        "DELETE FROM user_workflow_run WHERE (org_id, run_id) IN (SELECT * FROM UNNEST($1::uuid[], $2::uuid[]))",
        &orgs,
        &run_ids
    )
    .execute(conn)
    .await?;
    Ok(())
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

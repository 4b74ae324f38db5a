//! Questions to the read models, for commands and services. Whoever asks must have said in which role,
//! and as a tenant for which org: the database sees to the rest.
//!
//! Rows come as JSON with the columns' names, as PostgreSQL writes it: exact, and complete when a
//! column is added.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::id::{OrgId, RunId, WorkflowId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

mod batch;
mod catalogue;
mod micro_state;
mod prediction;
mod requirement;
mod workflow;

pub use batch::{BatchPlace, batch_list, batch_show};
pub use catalogue::{CatalogueKind, catalogue_list};
pub use micro_state::{
    MicroStateEmbeddings, MicroStateFilter, NEAREST_MAX, Nearness, micro_state_embeddings, micro_state_list,
    micro_state_models, micro_state_nearest, micro_state_show,
};
pub use prediction::{Level, NextState, micro_state_orgs, next_state_list};
pub use requirement::{
    ChangeFilter, ChangePlace, effective_requirement_list, recalled_requirement_list, requirement_change_list,
};
pub use workflow::{workflow_list, workflow_show};

/// Which runs to list; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this org.
    pub org_id: Option<OrgId>,
    /// In this status.
    pub status: Option<String>,
    /// Over this channel.
    pub channel: Option<String>,
    /// Of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// With this id in another system.
    pub external_id: Option<String>,
    /// With this flag.
    pub flag: Option<String>,
    /// With a context that contains this: a JSON object.
    pub context: Option<Box<RawValue>>,
    /// Created at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Created before this time.
    pub before: Option<DateTime<Utc>>,
}

/// The place of a run in a list: newest first.
#[derive(Clone, Copy, Debug)]
pub struct RunPlace {
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Which run.
    pub run_id: RunId,
    /// Whose run.
    pub org_id: OrgId,
}

/// What lists of runs show of a run; the row holds more.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // The columns of the contract.
pub struct Run {
    pub org_id: OrgId,
    pub run_id: RunId,
    pub status: String,
    pub channel: Option<String>,
    pub external_id: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
    pub error_message: Option<String>,
    pub flags: Vec<String>,
    pub created_at: DateTime<Utc>,
}

impl Run {
    /// Reads it from its row.
    ///
    /// # Errors
    /// When the row is not one of `user_workflow_run`.
    pub fn of_row(row: &RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(row.get())
    }

    /// Its place in a list.
    pub fn place(&self) -> RunPlace {
        RunPlace { created_at: self.created_at, run_id: self.run_id, org_id: self.org_id }
    }
}

/// So many runs are fetched by their ids and sorted. Where more have what is looked for, a page of them is
/// found sooner among the newest of any.
const FEW_RUNS_MAX: i32 = 1_000;

/// A page of runs, newest first, behind `after`: rows of `user_workflow_run`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn run_list(
    conn: &mut PgConnection,
    filter: &RunFilter,
    after: Option<RunPlace>,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let run_ids = few_runs(conn, filter).await?;
    let rows = sqlx::query_file_scalar!(
        "src/query/run_list.sql",
        filter.org_id as Option<OrgId>,
        filter.status,
        filter.channel,
        filter.workflow_id as Option<WorkflowId>,
        filter.external_id,
        filter.flag,
        filter.since,
        filter.before,
        after.map(|place| place.created_at),
        after.map(|place| place.run_id) as Option<RunId>,
        after.map(|place| place.org_id) as Option<OrgId>,
        limit,
        filter.context.as_ref().map(Json) as _,
        run_ids.as_deref() as _
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// The tenant's runs that have what is looked up by ids, if that is asked for and they are few; see the
/// migration `search`.
async fn few_runs(conn: &mut PgConnection, filter: &RunFilter) -> Result<Option<Vec<Uuid>>, sqlx::Error> {
    if filter.context.is_none() && filter.flag.is_none() {
        return Ok(None);
    }
    let context = filter.context.as_ref().map(Json);
    sqlx::query_scalar!("SELECT ledger.few_runs($1, $2, $3)", context as _, filter.flag, FEW_RUNS_MAX)
        .fetch_one(conn)
        .await
}

/// The run, in each org that has one of this id: its row with `steps`, an array of step rows in the
/// order of their numbers.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn run_show(
    conn: &mut PgConnection,
    run_id: RunId,
    org_id: Option<OrgId>,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!("src/query/run_show.sql", run_id as RunId, org_id as Option<OrgId>);
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// Those of an org's runs that have these ids: their rows with `steps`, as [`run_show`] has them.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn runs_of_ids(
    conn: &mut PgConnection,
    org_id: OrgId,
    run_ids: &[RunId],
) -> Result<HashMap<RunId, Box<RawValue>>, sqlx::Error> {
    let run_ids: Vec<_> = run_ids.iter().map(|run_id| run_id.uuid()).collect();
    let rows = sqlx::query_file!("src/query/runs_of_ids.sql", org_id as OrgId, &run_ids).fetch_all(conn).await?;
    rows.into_iter().map(|row| Ok((row.run_id, raw(Some(row.row))?))).collect()
}

/// What an org's events have set of requirements, withdrawn ones too: rows of `field_requirement`, `payer_requirement`
/// and `org_requirement_policy`, each with its tier.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn requirement_rows(
    conn: &mut PgConnection,
    org_id: OrgId,
) -> Result<Vec<(String, Box<RawValue>)>, sqlx::Error> {
    let rows = sqlx::query_file!("src/query/requirement_rows.sql", org_id as OrgId).fetch_all(conn).await?;
    rows.into_iter().map(|row| Ok((row.tier, raw(Some(row.row))?))).collect()
}

/// How many runs an org has in a status.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct RunCount {
    pub org_id: OrgId,
    pub name: Option<String>,
    pub status: String,
    pub runs: i64,
}

/// Runs by org and status. Counts rows: for a demo and for reports, not for a page.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn run_count_by_org_and_status(conn: &mut PgConnection) -> Result<Vec<RunCount>, sqlx::Error> {
    sqlx::query_as!(
        RunCount,
        r#"SELECT run.org_id AS "org_id: OrgId", organization.name AS "name?", run.status, count(*) AS "runs!"
           FROM user_workflow_run run LEFT JOIN organization USING (org_id)
           GROUP BY run.org_id, organization.name, run.status ORDER BY organization.name, run.org_id, run.status"#
    )
    .fetch_all(conn)
    .await
}

/// An org, for lists.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Organization {
    pub org_id: OrgId,
    pub name: String,
    pub org_type: Option<String>,
    pub status: String,
    /// How many events its ledger holds.
    pub events: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The orgs, by name.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn organization_list(conn: &mut PgConnection) -> Result<Vec<Organization>, sqlx::Error> {
    sqlx::query_as!(
        Organization,
        r#"SELECT org_id AS "org_id: OrgId", name, org_type, status, size AS "events", created_at, organization.updated_at
           FROM organization JOIN ledger.head USING (org_id) ORDER BY name, org_id"#
    )
    .fetch_all(conn)
    .await
}

fn raw(row: Option<String>) -> Result<Box<RawValue>, sqlx::Error> {
    RawValue::from_string(row.unwrap_or_default()).map_err(|error| sqlx::Error::Decode(error.into()))
}

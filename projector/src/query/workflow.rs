//! Workflows and their revisions.

use events::id::{OrgId, WorkflowId};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::raw;

/// Workflows by name: rows of `user_workflow`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn workflow_list(
    conn: &mut PgConnection,
    org_id: Option<OrgId>,
    status: Option<&str>,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!("src/query/workflow_list.sql", org_id as Option<OrgId>, status, limit);
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// The workflow, in each org that has one of this id: its row with `revisions`, which says what there are, and
/// `definition`, the row of `workflow_revision` of this revision, or of the current one; null if there is no such
/// revision.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn workflow_show(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    org_id: Option<OrgId>,
    revision: Option<i32>,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!(
        "src/query/workflow_show.sql",
        workflow_id as WorkflowId,
        org_id as Option<OrgId>,
        revision
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

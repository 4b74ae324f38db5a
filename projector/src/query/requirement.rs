//! What has to be known of which field, now and at any time, and how that came to be.

use chrono::{DateTime, Utc};
use events::id::{OrgId, PayerId, TaskTypeId};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::raw;

/// What has to be known for a kind of task and a payer, of which nobody need have a rule, by field: rows of
/// `effective_requirements_at`. With no payer, what holds for those without rules; with no time, what holds now.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn effective_requirement_list(
    conn: &mut PgConnection,
    org_id: OrgId,
    payer_id: Option<PayerId>,
    task_type_id: TaskTypeId,
    as_of: Option<DateTime<Utc>>,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT to_json(it)::text FROM effective_requirements_at($1, $2, $3, coalesce($4::timestamptz, 'infinity')) it ORDER BY field",
        org_id as OrgId,
        payer_id as Option<PayerId>,
        task_type_id as TaskTypeId,
        as_of
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// Which changes of requirements to list; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// Of this org, and everyone's.
    pub org_id: Option<OrgId>,
    /// For this payer, and those that hold for all.
    pub payer_id: Option<PayerId>,
    /// For this kind of task.
    pub task_type_id: Option<TaskTypeId>,
    /// Of this field.
    pub field: Option<String>,
    /// That happened before this time.
    pub before: Option<DateTime<Utc>>,
}

/// Changes of requirements, the latest first, at most so many: rows of `requirement_changelog`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn requirement_change_list(
    conn: &mut PgConnection,
    filter: &ChangeFilter,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!(
        "src/query/requirement_change_list.sql",
        filter.org_id as Option<OrgId>,
        filter.payer_id as Option<PayerId>,
        filter.task_type_id as Option<TaskTypeId>,
        filter.field,
        filter.before,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

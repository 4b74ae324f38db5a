//! What has to be known of which field, now and at any time, and how that came to be.

use chrono::{DateTime, Utc};
use events::id::{EventId, OrgId, PayerId, TaskTypeId};
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

/// [`effective_requirement_list`] of what the tables hold, which somebody has put back to a point before
/// ([`recall`](crate::history::recall)): rows of `effective_requirements`, those without a payer if nobody has a rule
/// for this one.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn recalled_requirement_list(
    conn: &mut PgConnection,
    org_id: OrgId,
    payer_id: Option<PayerId>,
    task_type_id: TaskTypeId,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT to_json(it)::text FROM effective_requirements it
         WHERE org_id = $1 AND task_type_id = $3 AND payer_id IS NOT DISTINCT FROM
             (SELECT payer_id FROM effective_requirements WHERE org_id = $1 AND payer_id = $2 LIMIT 1)
         ORDER BY field",
        org_id as OrgId,
        payer_id as Option<PayerId>,
        task_type_id as TaskTypeId
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// The place of a change in a list: the latest first.
#[derive(Clone, Copy, Debug)]
pub struct ChangePlace {
    /// When it happened.
    pub changed_at: DateTime<Utc>,
    /// By which event; absent, the first of that time.
    pub event_id: Option<EventId>,
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
    /// That come behind this place.
    pub before: Option<ChangePlace>,
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
        filter.before.map(|place| place.changed_at),
        filter.before.and_then(|place| place.event_id) as Option<EventId>,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

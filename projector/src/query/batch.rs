//! Batches and their rows.

use chrono::{DateTime, Utc};
use events::id::{BatchId, OrgId};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::raw;

/// The place of a batch in a list: newest first.
#[derive(Clone, Copy, Debug)]
pub struct BatchPlace {
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Which batch.
    pub batch_id: BatchId,
    /// Whose batch.
    pub org_id: OrgId,
}

/// A page of batches, newest first, behind `after`: rows of `batch_job`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn batch_list(
    conn: &mut PgConnection,
    org_id: Option<OrgId>,
    status: Option<&str>,
    after: Option<BatchPlace>,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!(
        "src/query/batch_list.sql",
        org_id as Option<OrgId>,
        status,
        after.map(|place| place.created_at),
        after.map(|place| place.batch_id) as Option<BatchId>,
        after.map(|place| place.org_id) as Option<OrgId>,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// The batch, in each org that has one of this id: its row with `rows`, an array of rows of `batch_row` in the
/// order of their numbers, those of one status if one is given, and at most so many.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn batch_show(
    conn: &mut PgConnection,
    batch_id: BatchId,
    org_id: Option<OrgId>,
    row_status: Option<&str>,
    rows_max: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!(
        "src/query/batch_show.sql",
        batch_id as BatchId,
        org_id as Option<OrgId>,
        row_status,
        rows_max
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

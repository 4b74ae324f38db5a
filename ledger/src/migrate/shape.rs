//! Who may change the shape of `ledger.event`: one `migrate`, or any number of processes that swap a partition each.
//! Otherwise a swap would drop the partition that an index is being built on, or put one in its place that lacks it.
//!
//! An advisory lock of the connection says whose turn it is. Nobody waits for it in PostgreSQL: building an index
//! CONCURRENTLY waits for all who wait there.

use std::time::Duration;

use sqlx::{PgConnection, query_scalar};

const SHAPE: i64 = 0x72_6c_69_64_78;
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits until it is this connection's turn alone.
pub(super) async fn lock(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut is_told = false;
    while !query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, SHAPE).fetch_one(&mut *conn).await? {
        if !is_told {
            tracing::info!("waiting for another `migrate`, or for `archive --drop`, to end");
            is_told = true;
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

pub(super) async fn unlock(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query_scalar!("SELECT pg_advisory_unlock($1)", SHAPE).fetch_one(conn).await?;
    Ok(())
}

/// Keeps `migrate` waiting, if it is not at work: whether it is kept.
#[cfg(feature = "archive")]
pub(crate) async fn hold(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    query_scalar!(r#"SELECT pg_try_advisory_lock_shared($1) AS "locked!""#, SHAPE).fetch_one(conn).await
}

#[cfg(feature = "archive")]
pub(crate) async fn release(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query_scalar!("SELECT pg_advisory_unlock_shared($1)", SHAPE).fetch_one(conn).await?;
    Ok(())
}

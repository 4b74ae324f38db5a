//! One rebuild of a projection at a time: a lock held by the connection that will swap, so whoever loses
//! the connection cannot swap any more.

use ledger::connection::Database;
use sqlx::{Connection, PgConnection, query, query_scalar};

use super::RebuildError;
use crate::registry::Registration;

/// The advisory lock class of rebuilds: the object is the projection.
const REBUILD: i32 = 0x726C_7231;

/// Takes the leases of the projections for as long as the connection lasts.
pub async fn take(database: &Database, projections: &[Registration]) -> Result<PgConnection, RebuildError> {
    let mut conn = database.connect().await?;
    for projection in projections {
        let taken =
            query_scalar!(r#"SELECT pg_try_advisory_lock($1, hashtext($2)) AS "taken!""#, REBUILD, projection.name);
        if !taken.fetch_one(&mut conn).await? {
            let (pid, since) = holder(&mut conn, projection.name).await?;
            conn.close().await?;
            return Err(RebuildError::Taken { projection: projection.name, pid, since });
        }
    }
    Ok(conn)
}

async fn holder(conn: &mut PgConnection, projection: &str) -> Result<(i32, String), sqlx::Error> {
    let holder = query!(
        r#"SELECT pid AS "pid!", coalesce(to_char(backend_start, 'HH24:MI:SS TZ'), 'some time') AS "since!"
           FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
           WHERE locktype = 'advisory' AND granted AND objsubid = 2
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND classid::bigint = $1 AND objid::bigint = hashtext($2)::bigint & 4294967295"#,
        i64::from(REBUILD),
        projection
    );
    let holder = holder.fetch_optional(conn).await?;
    Ok(holder.map_or_else(|| (0, "a moment ago".to_owned()), |holder| (holder.pid, holder.since)))
}

/// Removes the tables that were made.
pub async fn drop_tables(conn: &mut PgConnection, projection: &str) -> Result<(), RebuildError> {
    query!("SELECT ledger.drop_generation($1, 'rebuild')", projection).execute(conn).await?;
    Ok(())
}

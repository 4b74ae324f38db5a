//! Indexes of `ledger.event` that a migration made `ON ONLY` the partitioned table: built partition by
//! partition, while appends go on and with the locks of one partition at a time. What was interrupted is
//! taken up by the next `migrate`.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, query_file_as, query_scalar, raw_sql};

/// Only one process builds at a time: it holds this lock.
const BUILDING: i64 = 0x72_6c_69_64_78;
const INTERVAL: Duration = Duration::from_millis(200);

/// An index that a partition lacks.
struct Missing {
    index: String,
    partition: String,
    /// Of the partitioned index, as PostgreSQL writes it.
    definition: String,
}

/// Builds what is missing.
pub async fn build(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    if missing(conn).await?.is_empty() {
        return Ok(());
    }
    // Not waited for in PostgreSQL: a build waits for all who wait there.
    while !query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, BUILDING).fetch_one(&mut *conn).await? {
        tokio::time::sleep(INTERVAL).await;
    }
    let built = build_missing(conn).await;
    query_scalar!("SELECT pg_advisory_unlock($1)", BUILDING).fetch_one(conn).await?;
    built
}

async fn build_missing(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    for Missing { index, partition, definition } in missing(conn).await? {
        let name = format!("ledger.{partition}_{index}");
        let columns = definition.split_once(" USING ").map_or("", |(_, columns)| columns);
        tracing::info!(index, partition, "building an index");
        for statement in [
            // What an interrupted build has left.
            format!("DROP INDEX IF EXISTS {name}"),
            format!("CREATE INDEX CONCURRENTLY {partition}_{index} ON ledger.{partition} USING {columns}"),
            format!("ALTER INDEX ledger.{index} ATTACH PARTITION {name}"),
        ] {
            raw_sql(AssertSqlSafe(statement)).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

async fn missing(conn: &mut PgConnection) -> Result<Vec<Missing>, sqlx::Error> {
    query_file_as!(Missing, "src/migrate/missing_indexes.sql").fetch_all(conn).await
}

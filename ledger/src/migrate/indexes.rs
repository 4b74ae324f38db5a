//! Indexes of `ledger.event` that a migration made `ON ONLY` the partitioned table: built partition by
//! partition, while appends go on and with the locks of one partition at a time. What was interrupted is
//! taken up by the next `migrate`.

use sqlx::{AssertSqlSafe, PgConnection, query_file_as, raw_sql};

/// An index that a partition of `ledger.event` lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingIndex {
    /// The index of the whole table.
    pub index: String,
    /// The partition.
    pub partition: String,
    /// Of the partitioned index, as PostgreSQL writes it.
    pub(super) definition: String,
}

/// Builds what is missing. The shape of the event table is the caller's.
pub(super) async fn build(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    for MissingIndex { index, partition, definition } in missing(conn).await? {
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

/// What is missing. Changes nothing.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn missing(conn: &mut PgConnection) -> Result<Vec<MissingIndex>, sqlx::Error> {
    query_file_as!(MissingIndex, "src/migrate/missing_indexes.sql").fetch_all(conn).await
}

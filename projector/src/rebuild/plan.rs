use events::id::OrgId;
use ledger::read;
use serde::Serialize;
use sqlx::{PgConnection, query, query_scalar};

use super::{Rebuild, RebuildError};

/// What a load makes of events a second where none has been measured; PERFORMANCE.md has the figure.
const EVENTS_PER_SECOND_ASSUMED: f64 = 20_000.0;

/// What a rebuild would read and write.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Orgs to read.
    pub orgs: u64,
    /// Events to read, once for all tables.
    pub events: u64,
    /// Bytes of them, indexes included.
    pub event_bytes: i64,
    /// What is to be written.
    pub tables: Vec<PlannedTable>,
    /// Events a second by which the time is estimated.
    pub events_per_second: f64,
    /// Whether that was measured, at the last rebuild of one of these tables here that was not tiny.
    pub measured: bool,
    /// How long it should take.
    pub seconds: f64,
}

/// A table to be written.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedTable {
    /// Which one.
    pub table: &'static str,
    /// About how many rows serve now, by the planner's statistics; none if it has none yet.
    pub rows: Option<i64>,
    /// Bytes of them, indexes included; as much is needed beside them.
    pub bytes: i64,
}

impl Rebuild {
    /// What a rebuild would do. Changes nothing.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn plan(&self, only_org: Option<OrgId>) -> Result<Plan, RebuildError> {
        let mut conn = self.database.connect().await?;
        let mut heads = read::heads(&mut conn).await?;
        heads.retain(|(org_id, _)| only_org.is_none_or(|only| only == *org_id));
        let events: i64 = heads.iter().map(|(_, head)| head.get()).sum();
        let names: Vec<_> = self.projections.iter().map(|projection| projection.name.to_owned()).collect();
        let measured = query_scalar!(
            r#"SELECT loaded_events * 1000.0::float8 / loaded_ms AS "rate!" FROM ledger.generation
               WHERE projection = ANY($1) AND loaded_events >= 10000 AND loaded_ms > 0 ORDER BY loaded_at DESC LIMIT 1"#,
            &names
        )
        .fetch_optional(&mut conn)
        .await?;
        let events_per_second = measured.unwrap_or(EVENTS_PER_SECOND_ASSUMED);
        let mut tables = Vec::new();
        for table in self.projections.iter().flat_map(|projection| projection.tables) {
            tables.push(planned(&mut conn, table).await?);
        }
        Ok(Plan {
            orgs: heads.len() as u64,
            events: events as u64,
            event_bytes: event_bytes(&mut conn, only_org).await?,
            tables,
            events_per_second,
            measured: measured.is_some(),
            seconds: events as f64 / events_per_second,
        })
    }
}

async fn event_bytes(conn: &mut PgConnection, only_org: Option<OrgId>) -> Result<i64, sqlx::Error> {
    query_scalar!(
        r#"SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint AS "bytes!" FROM pg_partition_tree('ledger.event')
           WHERE isleaf AND ($1::uuid IS NULL OR relid::regclass::text LIKE '%' || replace($1::uuid::text, '-', ''))"#,
        only_org as Option<OrgId>
    )
    .fetch_one(conn)
    .await
}

async fn planned(conn: &mut PgConnection, table: &'static str) -> Result<PlannedTable, sqlx::Error> {
    let found = query!(
        r#"SELECT reltuples::bigint AS "rows!", pg_total_relation_size(oid) AS "bytes!" FROM pg_class
           WHERE oid = to_regclass('public.' || quote_ident($1))"#,
        table
    );
    let found = found.fetch_one(conn).await?;
    Ok(PlannedTable { table, rows: (found.rows >= 0).then_some(found.rows), bytes: found.bytes })
}

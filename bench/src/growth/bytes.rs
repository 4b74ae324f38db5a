//! Stored bytes an event: the drained backlog's tables and indexes, against the payloads.

use anyhow::Result;

use super::drain::once;
use crate::{
    arena::Arena,
    measurement::{Measurement, Part, Results},
};

/// Names are those of the parent: an org's partition and its indexes count as the ledger's.
const SIZES: &str = "
    SELECT name, sum(bytes)::float8 FROM (
        SELECT 'ledger.event' AS name, pg_table_size(relid) AS bytes FROM pg_partition_tree('ledger.event') WHERE isleaf
        UNION ALL
        SELECT parent.relname, pg_relation_size(child.oid)
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
        WHERE child.relkind = 'i'
        UNION ALL
        SELECT relname, pg_table_size(oid) FROM pg_class WHERE relname IN ('user_workflow_run', 'user_workflow_run_step') AND relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index
        WHERE indrelid IN ('public.user_workflow_run'::regclass, 'public.user_workflow_run_step'::regclass)
    ) AS size GROUP BY name ORDER BY 2 DESC";

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (backlog, database) = (arena.backlog().await?, arena.drained().await?);
    let mut conn = database.connect().await?;
    let events = backlog.workload.len_with_registrations() as f64;
    let payload = "SELECT sum(octet_length(data::text))::float8 FROM ledger.event";
    let payload: f64 = sqlx::query_scalar(payload).fetch_one(&mut conn).await?;
    let sizes: Vec<(String, f64)> = sqlx::query_as(SIZES).fetch_all(&mut conn).await?;
    let stored: f64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    let part = |name, bytes: f64| Part { name, unit: "bytes an event", samples: once(bytes / events) };
    let mut parts = vec![part("payload", payload), part("stored", stored)];
    // There are a dozen, and they live as long as the process.
    parts.extend(sizes.into_iter().map(|(name, bytes)| part(name.leak(), bytes)));
    results.measurements.push(Measurement {
        row: "bytes".to_owned(),
        title: "stored bytes an event, all tables and indexes / payload".to_owned(),
        unit: "×",
        samples: once(stored / payload),
        goal: None,
        parts,
    });
    Ok(())
}

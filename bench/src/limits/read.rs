//! The limit of verifying: all columns of all events, in order, as a stream on one connection, and nothing done with
//! them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use sqlx::{Row, postgres::PgRow};

use crate::database::CaseDatabase;

/// Reads the ledger from end to end; it holds so many events at least: the shared org has one too.
pub async fn read(database: &CaseDatabase, events: u64) -> Result<Duration> {
    let mut conn = database.connect().await?;
    let began = Instant::now();
    let (mut rows, mut bytes) = (0, 0);
    let mut stream = sqlx::query("SELECT * FROM ledger.event ORDER BY org_id, seq").fetch(&mut conn);
    while let Some(row) = stream.try_next().await? {
        rows += 1;
        bytes += row_bytes(&row);
    }
    let took = began.elapsed();
    ensure!(rows >= events && bytes > 0, "{rows} of {events} events were read");
    Ok(took)
}

fn row_bytes(row: &PgRow) -> usize {
    let bytes = |column| row.try_get_raw(column).ok().and_then(|value| value.as_bytes().ok().map(<[u8]>::len));
    (0..row.len()).filter_map(bytes).sum()
}

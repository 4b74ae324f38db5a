//! How far the ledger is: heads, what waits in the stream, what was refused.

use std::collections::HashMap;

use events::id::{OrgId, Seq};
use serde::Serialize;
use sqlx::PgConnection;

use crate::stream::{EventStream, PARTITIONS, STREAM, StreamError};

/// Open dead letters with one code.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// The reason code.
    pub code: String,
    /// How many letters are open.
    pub open: i64,
}

/// How far an org's ledger goes, and the root over it.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    /// Whose.
    pub org_id: OrgId,
    /// How many events.
    pub size: Seq,
    /// The Merkle root, in hexadecimal digits.
    pub root: String,
}

/// The ledger as PostgreSQL knows it.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerStatus {
    /// Registered orgs.
    pub orgs: usize,
    /// Events of all orgs.
    pub events: i64,
    /// One head a registered org, by org id.
    pub heads: Vec<Head>,
    /// Open dead letters by code.
    pub refused: Vec<Refused>,
}

/// Reads the ledger's status, as a role that reads across orgs.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn ledger(conn: &mut PgConnection) -> Result<LedgerStatus, sqlx::Error> {
    let heads = sqlx::query_as!(
        Head,
        r#"SELECT org_id AS "org_id: OrgId", size AS "size: Seq", encode(root, 'hex') AS "root!" FROM ledger.head ORDER BY org_id"#
    )
    .fetch_all(&mut *conn)
    .await?;
    let refused = sqlx::query_as!(
        Refused,
        r#"SELECT code, count(*) AS "open!" FROM ledger.dead_letter WHERE state = 'open' GROUP BY code ORDER BY code"#
    )
    .fetch_all(conn)
    .await?;
    let events = heads.iter().map(|head| head.size.get()).sum();
    Ok(LedgerStatus { orgs: heads.len(), events, heads, refused })
}

/// How far each partition of the stream has been read.
async fn positions(conn: &mut PgConnection, stream: &EventStream) -> Result<Vec<(u32, u64)>, sqlx::Error> {
    let cursors = sqlx::query!(
        "SELECT partition, stream_seq FROM ledger.ingest_cursor WHERE stream = $1 AND stream_created_at = $2",
        STREAM,
        stream.created_at
    )
    .fetch_all(conn)
    .await?;
    let read: HashMap<i32, i64> = cursors.into_iter().map(|cursor| (cursor.partition, cursor.stream_seq)).collect();
    let position = |partition: u32| read.get(&(partition as i32)).map_or(0, |stream_seq| *stream_seq as u64);
    Ok((0..PARTITIONS).map(|partition| (partition, position(partition))).collect())
}

/// How many messages wait in the stream behind what was read.
///
/// # Errors
/// When PostgreSQL or NATS fails.
pub async fn stream_lag(conn: &mut PgConnection, stream: &EventStream) -> Result<u64, StatusError> {
    let mut lag = 0;
    for (partition, position) in positions(conn, stream).await? {
        lag += stream.count_after(position, partition).await?;
    }
    Ok(lag)
}

/// Whether everything in the stream up to `stream_seq` was read.
///
/// # Errors
/// When PostgreSQL or NATS fails.
pub async fn has_read(conn: &mut PgConnection, stream: &EventStream, stream_seq: u64) -> Result<bool, StatusError> {
    for (partition, position) in positions(conn, stream).await? {
        if position >= stream_seq {
            continue;
        }
        let next = stream.message_after(position, partition).await?;
        if next.is_some_and(|next| next.stream_seq <= stream_seq) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Trouble with finding out.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while the ledger's status was read: {0}")]
    Database(#[from] sqlx::Error),
    /// NATS failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

//! Retries dead letters whose reason has gone by itself: their org is registered by now, or this
//! version knows their type.

use std::{sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::announce::Announcer;
use crate::{
    append::AppendError,
    connection::Database,
    dead_letter::{self, Retried},
};

/// How often it looks without being told.
const INTERVAL: Duration = Duration::from_secs(5);
/// How many letters it takes at a time.
const LETTERS_MAX: i64 = 500;

/// Runs until `shutdown`. Faults of PostgreSQL wait for the next round; the partitions report them.
pub(super) async fn run(
    database: Database,
    announcer: Announcer,
    org_registered: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let started_at = crate::now();
    let mut conn = None;
    loop {
        let round = async {
            let conn = match &mut conn {
                Some(conn) => conn,
                none => none.insert(database.connect().await?),
            };
            retry_all(conn, &announcer, started_at).await
        };
        if let Err(error) = round.await {
            tracing::debug!(%error, "dead letters could not be retried; trying again");
            conn = None;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = org_registered.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn retry_all(
    conn: &mut PgConnection,
    announcer: &Announcer,
    started_at: chrono::DateTime<chrono::Utc>,
) -> Result<(), AppendError> {
    loop {
        let mut letters = dead_letter::of_registered_orgs(conn, LETTERS_MAX).await?;
        letters.extend(dead_letter::of_unknown_kinds(conn, started_at, LETTERS_MAX).await?);
        let retried = dead_letter::retry(conn, &letters).await?;
        if retried.is_empty() {
            return Ok(());
        }
        for (dead_letter_id, retried) in retried {
            if let Retried::Appended { org_id, seq } = retried {
                tracing::info!(dead_letter_id, %org_id, %seq, "appended a dead letter whose reason has gone");
                announcer.appended(org_id, seq, seq).await;
            }
        }
    }
}

//! Retries dead letters whose reason has gone by itself: their org is registered by now, or this
//! version knows their type.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::announce::Announcer;
use crate::{
    append::AppendError,
    connection::Database,
    dead_letter::{self, Retried},
    recent::Commit,
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
    let mut round = Round { database, announcer, shutdown: shutdown.clone(), tried_kinds: false };
    loop {
        if let Err(error) = round.make().await {
            tracing::debug!(%error, "dead letters could not be retried; trying again");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = org_registered.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

struct Round {
    database: Database,
    announcer: Announcer,
    shutdown: CancellationToken,
    /// Types and versions become known by an upgrade only, so once in the life of a process is enough.
    tried_kinds: bool,
}

impl Round {
    async fn make(&mut self) -> Result<(), AppendError> {
        let mut conn = self.database.connect().await?;
        self.retry_all(&mut conn, async |conn, after| dead_letter::of_registered_orgs(conn, after, LETTERS_MAX).await)
            .await?;
        if !self.tried_kinds {
            self.retry_all(&mut conn, async |conn, after| {
                dead_letter::of_unknown_kinds(conn, after, LETTERS_MAX).await
            })
            .await?;
            self.tried_kinds = true;
        }
        Ok(())
    }

    /// Retries page after page of letters; each once, whatever comes of it.
    async fn retry_all(
        &self,
        conn: &mut PgConnection,
        page: impl AsyncFn(&mut PgConnection, i64) -> Result<Vec<i64>, sqlx::Error>,
    ) -> Result<(), AppendError> {
        let mut after = 0;
        loop {
            let letters = page(conn, after).await?;
            let Some(last) = letters.last() else { return Ok(()) };
            after = *last;
            for dead_letter_id in letters {
                if self.shutdown.is_cancelled() {
                    return Ok(());
                }
                if let Some(Retried::Appended { org_id, seq }) = dead_letter::retry(conn, dead_letter_id).await? {
                    counter!("runledger_appended_events_total").increment(1);
                    tracing::info!(dead_letter_id, %org_id, %seq, "appended a dead letter whose reason has gone");
                    self.announcer.appended(org_id, Commit { first: seq, last: seq, families: None });
                }
            }
        }
    }
}

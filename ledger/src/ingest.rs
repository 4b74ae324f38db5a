//! The ledger service: reads the stream's partitions and appends what they bring.
//!
//! Invariant: an event counts as read when, and only when, it is committed as appended or as a dead
//! letter. Start more of it and they share the partitions; end one, in whatever way, and the others
//! take its partitions over from where its last commit left them.

mod announce;
mod cursor;
mod feed;
mod lane;
mod lease;
mod reader;
mod second_chance;
mod writer;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use announce::APPENDED_CHANNEL;

use crate::{
    connection::{Backoff, Database, Outage, within},
    nats::Nats,
    recent::Recent,
    shared_org,
    stream::{EventStream, StreamError},
};
use announce::Announcer;
use feed::Feed;
use lane::{LANES, Lane, Wanted};

/// How often the sharing of partitions is looked at.
const SHARES_INTERVAL: Duration = Duration::from_millis(500);

/// How long looking at it may take.
const BALANCE_MAX: Duration = Duration::from_secs(10);

/// What the service needs.
pub struct Ingest {
    /// PostgreSQL, in the role of the ledger.
    pub database: Database,
    /// NATS.
    pub nats: Nats,
    /// The state of PostgreSQL as the process sees it.
    pub postgres: Arc<Outage>,
    /// How long messages stay in the stream after they were appended; `None` keeps them for ever.
    pub keep: Option<chrono::Duration>,
    /// What a projector in the same process is told at once, and handed over; `None` where there is none.
    pub recent: Option<Arc<Recent>>,
}

/// Why the service could not go on for a moment. It tries again by itself.
#[derive(Debug, thiserror::Error)]
enum IngestError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Append(#[from] crate::append::AppendError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("partition {0} was read by another ledger meanwhile")]
    Overtaken(u32),
}

impl Ingest {
    /// Runs until `shutdown`; finishes the batches at hand then. Faults of PostgreSQL and NATS are
    /// waited out.
    ///
    /// # Errors
    /// When the stream is not ours, before anything was read.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StreamError> {
        if !self.stream_is_there(&shutdown).await? {
            return Ok(());
        }
        let shared_org =
            tokio::spawn(shared_org::publish_when_possible(self.database.clone(), self.nats.clone(), shutdown.clone()));
        let announcer = Announcer::start(self.nats.clone(), self.database.clone(), self.recent.clone());
        let org_registered = Arc::new(Notify::new());
        let feed = Feed::start();
        let second_chances = tokio::spawn(second_chance::run(
            self.database.clone(),
            announcer.clone(),
            org_registered.clone(),
            shutdown.clone(),
        ));
        let wanted = Wanted::default();
        let lane = |number| Lane {
            number,
            nats: self.nats.clone(),
            announcer: announcer.clone(),
            database: self.database.clone(),
            postgres: self.postgres.clone(),
            org_registered: org_registered.clone(),
            recent: self.recent.clone(),
            keep: self.keep,
            feed: feed.clone(),
            wanted: wanted.clone(),
        };
        let lanes: JoinSet<()> = (0..LANES).map(|number| lane(number).run(shutdown.clone())).collect();
        let mut backoff = Backoff::default();
        while !shutdown.is_cancelled() {
            match self.share(&wanted, &shutdown).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::debug!(%error, "the partitions cannot be shared at the moment; trying again");
                    backoff.wait().await;
                }
            }
        }
        lanes.join_all().await;
        let _ = (second_chances.await, shared_org.await);
        Ok(())
    }

    /// Keeps what is wanted a fair share of the partitions. Returns at shutdown.
    async fn share(&self, wanted: &Wanted, shutdown: &CancellationToken) -> Result<(), sqlx::Error> {
        let mut conn = self.database.connect().await.inspect_err(|error| self.postgres.began(error))?;
        lease::join(&mut conn).await?;
        self.postgres.ended();
        loop {
            let shares = within(BALANCE_MAX, lease::shares(&mut conn)).await?;
            wanted.send_if_modified(|wanted| shares.balance(wanted));
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(SHARES_INTERVAL) => {}
            }
        }
    }

    /// Waits until the stream is there, and ours. False at shutdown.
    async fn stream_is_there(&self, shutdown: &CancellationToken) -> Result<bool, StreamError> {
        let mut backoff = Backoff::default();
        let mut said = false;
        loop {
            match EventStream::ensure(&self.nats.client()).await {
                Ok(_) => return Ok(true),
                Err(error @ StreamError::Foreign(_)) => return Err(error),
                Err(error) if !said => {
                    tracing::warn!(%error, "waiting for JetStream");
                    said = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                () = backoff.wait() => {}
            }
        }
    }
}

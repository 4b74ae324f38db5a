//! The ledger service: reads the stream's partitions and appends what they bring.
//!
//! Invariant: an event counts as read when, and only when, it is committed as appended or as a dead
//! letter. Start more of it and they share the partitions; end one, in whatever way, and the others
//! take its partitions over from where its last commit left them.

mod announce;
mod cursor;
mod feed;
mod lease;
mod partition;
mod reader;
mod second_chance;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::Client;
use sqlx::PgConnection;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub use announce::APPENDED_CHANNEL;

use crate::{
    connection::{Backoff, Database, Outage, within},
    nats::Nats,
    stream::{EventStream, StreamError},
};
use announce::Announcer;
use feed::Feed;
use partition::Partition;

/// How many partitions commit at the same time.
const COMMITS_MAX: usize = 4;
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
        register_shared_org(&self.nats.client()).await;
        let announcer = Announcer::start(self.nats.clone(), self.database.clone());
        let org_registered = Arc::new(Notify::new());
        let second_chances = tokio::spawn(second_chance::run(
            self.database.clone(),
            announcer.clone(),
            org_registered.clone(),
            shutdown.clone(),
        ));
        let mut holder = Holder {
            partition: Partition {
                nats: self.nats.clone(),
                announcer,
                org_registered,
                postgres: self.postgres.clone(),
                keep: self.keep,
                feed: Feed::start(),
                commits: Arc::new(Semaphore::new(COMMITS_MAX)),
                database: self.database.clone(),
            },
            held: HashMap::new(),
            shutdown: shutdown.clone(),
        };
        let mut backoff = Backoff::default();
        while !shutdown.is_cancelled() {
            match holder.share(&self.database).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::debug!(%error, "the partitions cannot be shared at the moment; trying again");
                    backoff.wait().await;
                }
            }
        }
        holder.release_all().await;
        let _ = second_chances.await;
        Ok(())
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

/// The partitions that this process holds.
struct Holder {
    partition: Partition,
    held: HashMap<u32, Held>,
    shutdown: CancellationToken,
}

struct Held {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Holder {
    /// Takes and gives up partitions so that all members hold a fair share. Returns at shutdown.
    async fn share(&mut self, database: &Database) -> Result<(), sqlx::Error> {
        let mut conn = database.connect().await.inspect_err(|error| self.partition.postgres.began(error))?;
        lease::join(&mut conn).await?;
        self.partition.postgres.ended();
        loop {
            within(BALANCE_MAX, self.balance(&mut conn)).await?;
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(SHARES_INTERVAL) => {}
            }
        }
    }

    async fn balance(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.held.retain(|_, held| !held.task.is_finished());
        let shares = lease::shares(conn).await?;
        let surplus = self.held.len().saturating_sub(shares.fair);
        for held in self.held.values().take(surplus) {
            held.stop.cancel();
        }
        let wanted = shares.fair.saturating_sub(self.held.len());
        let free: Vec<u32> = shares.free.into_iter().filter(|partition| !self.held.contains_key(partition)).collect();
        // Members begin at different places, so that they seldom reach for the same partition.
        let offset = std::process::id() as usize % free.len().max(1);
        for &partition in free.iter().cycle().skip(offset).take(wanted.min(free.len())) {
            let stop = self.shutdown.child_token();
            let task = tokio::spawn(self.partition.clone().hold(partition, stop.clone()));
            self.held.insert(partition, Held { stop, task });
        }
        Ok(())
    }

    async fn release_all(self) {
        for (_, held) in self.held {
            held.stop.cancel();
            let _ = held.task.await;
        }
    }
}

/// The org of everyone is registered by the system, by an event like any other; the same event each
/// time, so that it counts once.
async fn register_shared_org(client: &Client) {
    let org_id = events::id::SHARED_ORG;
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", "00000000-0000-4000-8000-000000000002".to_owned()),
        ("ce-source", "/runledger".to_owned()),
        ("ce-type", "org.registered".to_owned()),
        ("ce-subject", org_id.to_string()),
        ("ce-orgid", org_id.to_string()),
        ("ce-time", "2020-01-01T00:00:00Z".to_owned()),
        ("Nats-Msg-Id", format!("{org_id}:00000000-0000-4000-8000-000000000002")),
    ] {
        headers.insert(name, value);
    }
    let subject = format!("runledger.events.{org_id}.org.registered");
    let published = client.publish_with_headers(subject, headers, r#"{"name":"Shared reference data"}"#.into()).await;
    if let Err(error) = published {
        tracing::warn!(%error, "the shared org could not be registered; the next start tries again");
    }
}

//! One lane: a connection that holds the leases of some partitions and commits what all of them bring, in one
//! transaction after the other. While a transaction runs, the next batch grows.
//!
//! Invariant: whatever goes wrong ends the connection, and so all leases of the lane, before anything else is
//! tried: what it had read and not committed is read again by whoever takes the partition next.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use metrics::gauge;
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{IngestError, announce::Announcer, cursor::Cursor, feed::Feed, lease, reader::Reader, writer::Writer};
use crate::{
    append::AppendError,
    connection::{Backoff, Database, Outage, is_outage, within},
    nats::Nats,
    recent::Recent,
    stream::EventStream,
};

/// How many lanes a process has. While PostgreSQL works for one, another reads and parses.
pub(super) const LANES: u32 = 2;
/// How often messages beyond the keep period are removed from the stream.
const TRIM_INTERVAL: Duration = Duration::from_secs(3600);
/// How often it is counted how many messages wait.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// How often an idle connection is asked whether it lives, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_MAX: Duration = Duration::from_secs(5);
/// How long removing messages may take.
const TRIM_MAX: Duration = Duration::from_secs(120);

/// The partitions that this process wants to hold. A lane that finds one taken by another process takes it out.
pub(super) type Wanted = Arc<watch::Sender<BTreeSet<u32>>>;

/// The lane that has this partition, if the process has it.
pub(super) fn lane_of(partition: u32) -> u32 {
    partition % LANES
}

/// A lane at work.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) nats: Nats,
    pub(super) announcer: Announcer,
    pub(super) database: Database,
    pub(super) postgres: Arc<Outage>,
    /// Told when an org was registered.
    pub(super) org_registered: Arc<Notify>,
    pub(super) recent: Option<Arc<Recent>>,
    pub(super) keep: Option<chrono::Duration>,
    pub(super) feed: Feed,
    pub(super) wanted: Wanted,
    /// Which one of them; see [`lane_of`].
    pub(super) number: u32,
}

impl Lane {
    /// Runs until `stop`. What goes wrong gives all leases up and is tried again, after longer and longer waits.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut after_trouble = false;
        while let Err(error) = self.hold(&stop, after_trouble, &mut backoff).await {
            after_trouble = matches!(error, IngestError::Stream(_));
            self.report(&error).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = backoff.wait() => {}
            }
        }
    }

    /// What is wrong with a server is said once for all lanes: for PostgreSQL when it cannot be connected to,
    /// for NATS by the connection itself.
    async fn report(&self, error: &IngestError) {
        match error {
            IngestError::Database(fault) | IngestError::Append(AppendError::Database(fault)) if is_outage(fault) => {
                tracing::debug!(lane = self.number, %fault, "the connection was lost; trying again");
            }
            IngestError::Stream(error) => {
                tracing::debug!(lane = self.number, %error, "the stream cannot be read; trying again");
                if let Err(error) = self.nats.revive().await {
                    tracing::debug!(%error, "NATS cannot be reached");
                }
            }
            error => {
                let partitions = self.wanted_here();
                tracing::warn!(?partitions, %error, "the partitions cannot be read; trying again");
            }
        }
    }

    async fn hold(
        &self,
        stop: &CancellationToken,
        after_trouble: bool,
        backoff: &mut Backoff,
    ) -> Result<(), IngestError> {
        let mut wanted = self.wanted.subscribe();
        let mut held = self.begin(after_trouble).await?;
        let (mut trim_due, mut count_due) = (Instant::now(), Instant::now());
        loop {
            wanted.mark_unchanged();
            let Some(taken) = stop.run_until_cancelled(held.follow_wanted(self)).await else { break };
            if taken? {
                (trim_due, count_due) = (Instant::now(), Instant::now());
                held.after_trouble = false;
            }
            if let Some(keep) = self.keep.filter(|_| Instant::now() >= trim_due) {
                within(TRIM_MAX, held.trim(keep)).await?;
                trim_due = Instant::now() + TRIM_INTERVAL;
            }
            if Instant::now() >= count_due {
                held.count_lag().await;
                count_due = Instant::now() + COUNT_INTERVAL;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                _ = wanted.changed() => continue,
                () = tokio::time::sleep_until(trim_due), if self.keep.is_some() => continue,
                () = tokio::time::sleep_until(count_due) => continue,
                ready = held.reader.ready() => ready?,
                lost = lost(&mut held.writer.conn) => return Err(lost.into()),
            }
            held.writer.commit(&held.reader.batch()).await?;
            *backoff = Backoff::default();
        }
        held.end().await
    }

    /// A connection and the stream; no lease yet.
    async fn begin(&self, after_trouble: bool) -> Result<Held, IngestError> {
        let mut conn = self.database.connect().await.inspect_err(|error| self.postgres.began(error))?;
        self.postgres.ended();
        // To plan the statements of a small batch takes longer than to run them. A plan that is kept must not read
        // from end to end what was small when it was made. What counts as read must be on the disk, whatever the server
        // does by default.
        let settings = "SET plan_cache_mode = auto; SET enable_seqscan = off; SET synchronous_commit = on";
        sqlx::raw_sql(settings).execute(&mut conn).await?;
        let stream = EventStream::ensure(&self.nats.client()).await?;
        let writer = Writer::new(conn, stream, self).await?;
        Ok(Held { writer, reader: Reader::default(), after_trouble })
    }

    /// The wanted partitions that are this lane's.
    fn wanted_here(&self) -> BTreeSet<u32> {
        self.wanted.borrow().iter().copied().filter(|partition| lane_of(*partition) == self.number).collect()
    }
}

/// The partitions that a lane holds: their leases, their messages, their cursors.
struct Held {
    writer: Writer,
    reader: Reader,
    /// Whether the flow broke before, perhaps for what one of the next messages is.
    after_trouble: bool,
}

impl Held {
    /// Gives up partitions that are not wanted any more, and takes those that are. Says whether it took any.
    async fn follow_wanted(&mut self, lane: &Lane) -> Result<bool, IngestError> {
        let wanted = lane.wanted_here();
        let unwanted: Vec<u32> =
            self.writer.cursors.keys().copied().filter(|partition| !wanted.contains(partition)).collect();
        for partition in unwanted {
            self.give_up(partition).await?;
        }
        let held = self.writer.cursors.len();
        for partition in wanted {
            if !self.writer.cursors.contains_key(&partition) {
                self.take(lane, partition).await?;
            }
        }
        Ok(self.writer.cursors.len() > held)
    }

    async fn take(&mut self, lane: &Lane, partition: u32) -> Result<(), IngestError> {
        let Writer { conn, stream, cursors, .. } = &mut self.writer;
        if !lease::take(conn, partition).await? {
            lane.wanted.send_if_modified(|wanted| wanted.remove(&partition));
            lag(partition).set(0);
            return Ok(());
        }
        let cursor = Cursor::load(conn, stream, partition).await?;
        tracing::debug!(partition, stream_seq = cursor.stream_seq, "reading the partition");
        self.reader.add(partition, lane.feed.subscribe(stream.clone(), &cursor, self.after_trouble).await);
        cursors.insert(partition, cursor);
        Ok(())
    }

    async fn give_up(&mut self, partition: u32) -> Result<(), IngestError> {
        self.reader.remove(partition);
        self.writer.cursors.remove(&partition);
        lag(partition).set(0);
        lease::give_up(&mut self.writer.conn, partition).await?;
        Ok(())
    }

    /// Removing old messages can wait, appending new ones cannot: trouble with NATS is for the next time.
    async fn trim(&mut self, keep: chrono::Duration) -> Result<(), IngestError> {
        let Writer { conn, stream, cursors, .. } = &mut self.writer;
        for cursor in cursors.values_mut() {
            match cursor.trim(conn, stream, keep).await {
                Err(IngestError::Stream(error)) => {
                    let partition = cursor.partition;
                    tracing::warn!(partition, %error, "old messages could not be removed from the stream");
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn count_lag(&self) {
        let Writer { stream, cursors, .. } = &self.writer;
        join_all(cursors.values().map(async |cursor| {
            if let Ok(waiting) = stream.count_after(cursor.stream_seq, cursor.partition).await {
                lag(cursor.partition).set(waiting as f64);
            }
        }))
        .await;
    }

    async fn end(self) -> Result<(), IngestError> {
        drop(self.reader);
        self.writer.cursors.keys().for_each(|partition| lag(*partition).set(0));
        within(PING_MAX, self.writer.conn.close()).await?;
        Ok(())
    }
}

/// Completes when the connection that holds the leases is lost while nothing is asked of it.
async fn lost(conn: &mut PgConnection) -> sqlx::Error {
    loop {
        tokio::time::sleep(PING_INTERVAL).await;
        if let Err(error) = within(PING_MAX, conn.ping()).await {
            return error;
        }
    }
}

fn lag(partition: u32) -> metrics::Gauge {
    gauge!("runledger_stream_lag_messages", "partition" => partition.to_string())
}

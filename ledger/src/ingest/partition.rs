//! Holds one partition: reads it, commits batches, until told to stop or until the lease is lost.

use std::{sync::Arc, time::Duration};

use events::{
    Code, Event, Refusal,
    id::{EventId, SubjectId},
    wire,
};
use metrics::{counter, gauge, histogram};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    IngestError,
    announce::{self, Announcer},
    cursor::Cursor,
    feed::{Fed, Feed},
    lease,
    reader::PartitionReader,
};
use crate::{
    append::{self, AppendError, Ids, Outcome},
    connection::{Backoff, Database, Outage, is_outage, refuses_data, within},
    dead_letter,
    nats::Nats,
    stream::{Delivery, EventStream},
};

/// How often messages beyond the keep period are removed from the stream.
const TRIM_INTERVAL: Duration = Duration::from_secs(3600);
/// How often it is counted how many messages wait.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// How often an idle connection is asked whether it lives, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_MAX: Duration = Duration::from_secs(5);
/// How long a batch may take; a slow disk is no dead server.
const COMMIT_MAX: Duration = Duration::from_secs(120);

/// What the door says of a delivery.
type Verdict = Result<Event, Refusal>;

/// What holding a partition takes.
#[derive(Clone)]
pub(super) struct Partition {
    pub(super) nats: Nats,
    pub(super) announcer: Announcer,
    pub(super) database: Database,
    pub(super) postgres: Arc<Outage>,
    /// Told when an org was registered.
    pub(super) org_registered: Arc<Notify>,
    pub(super) keep: Option<chrono::Duration>,
    pub(super) feed: Feed,
    /// Turns to commit: PostgreSQL does more with a few large transactions at a time than with many.
    pub(super) commits: Arc<Semaphore>,
}

impl Partition {
    /// Takes the lease and keeps it until `stop`. Returns early when somebody else has it. What goes wrong
    /// gives the lease up and is tried again, after longer and longer waits.
    pub(super) async fn hold(self, partition: u32, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut after_trouble = false;
        while let Err(error) = self.read(partition, &stop, after_trouble, &mut backoff).await {
            after_trouble = matches!(error, IngestError::Stream(_));
            self.report(partition, &error).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = backoff.wait() => {}
            }
        }
        lag(partition).set(0);
    }

    /// What is wrong with a server is said once for all partitions: for PostgreSQL when it cannot be
    /// connected to, for NATS by the connection itself.
    async fn report(&self, partition: u32, error: &IngestError) {
        match error {
            IngestError::Database(fault) | IngestError::Append(AppendError::Database(fault)) if is_outage(fault) => {
                tracing::debug!(partition, %fault, "the connection was lost; trying again");
            }
            IngestError::Stream(error) => {
                tracing::debug!(partition, %error, "the stream cannot be read; trying again");
                if let Err(error) = self.nats.revive().await {
                    tracing::debug!(%error, "NATS cannot be reached");
                }
            }
            error => tracing::warn!(partition, %error, "the partition cannot be read; trying again"),
        }
    }

    async fn read(
        &self,
        partition: u32,
        stop: &CancellationToken,
        after_trouble: bool,
        backoff: &mut Backoff,
    ) -> Result<(), IngestError> {
        let mut conn = self.database.connect().await.inspect_err(|error| self.postgres.began(error))?;
        if !lease::take(&mut conn, partition).await? {
            return Ok(());
        }
        self.postgres.ended();
        // To plan the statements of a small batch takes longer than to run them. A plan that is kept must not read
        // from end to end what was small when it was made.
        sqlx::raw_sql("SET plan_cache_mode = auto; SET enable_seqscan = off").execute(&mut conn).await?;
        let stream = EventStream::ensure(&self.nats.client()).await?;
        let cursor = Cursor::load(&mut conn, &stream, partition).await?;
        tracing::debug!(partition, stream_seq = cursor.stream_seq, "reading the partition");
        let opening = PartitionReader::open(&self.feed, stream.clone(), &cursor, after_trouble);
        let Some(mut reader) = stop.run_until_cancelled(opening).await else { return Ok(()) };
        let mut writer = Writer { partition: self, conn, stream, cursor, ids: Ids::TakenForNew };
        let (mut trim_due, mut count_due) = (Instant::now(), Instant::now());
        loop {
            if let Some(keep) = self.keep.filter(|_| Instant::now() >= trim_due) {
                within(COMMIT_MAX, writer.trim(keep)).await?;
                trim_due = Instant::now() + TRIM_INTERVAL;
            }
            if Instant::now() >= count_due {
                if let Ok(waiting) = writer.stream.count_after(writer.cursor.stream_seq, partition).await {
                    lag(partition).set(waiting as f64);
                }
                count_due = Instant::now() + COUNT_INTERVAL;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(trim_due), if self.keep.is_some() => continue,
                () = tokio::time::sleep_until(count_due) => continue,
                ready = reader.ready() => ready?,
                lost = lost(&mut writer.conn) => return Err(lost.into()),
            }
            // While a partition waits for its turn, its batch grows.
            let Some(_turn) = stop.run_until_cancelled(self.commits.acquire()).await else { break };
            writer.commit(&reader.batch()).await?;
            *backoff = Backoff::default();
        }
        drop(reader);
        within(PING_MAX, writer.conn.close()).await?;
        Ok(())
    }

    /// Announces, counts and logs what was committed.
    async fn tell(&self, admitted: &[&Event], outcomes: &[Outcome], refused: &[Refused<'_>]) {
        let ranges = append::ranges(admitted, outcomes);
        let mut families = announce::families(admitted);
        for (org_id, (first, last)) in &ranges {
            counter!("runledger_appended_events_total").increment((last.get() - first.get() + 1) as u64);
            tracing::debug!(%org_id, %first, %last, "appended");
            self.announcer.appended(*org_id, *first, *last, families.remove(org_id)).await;
        }
        if ranges.values().any(|(first, _)| first.get() == 1) {
            self.org_registered.notify_one();
        }
        for Refused { delivery, event, refusal } in refused {
            let org_id = wire::org_of_subject(&delivery.subject);
            let org = org_id.map(tracing::field::display);
            let event_id = event.map(|event| event.event_id).as_ref().map(EventId::to_string);
            let run = event.map(|event| event.subject_id).as_ref().map(SubjectId::to_string);
            let subject = String::from_utf8_lossy(&delivery.subject);
            let (stream_seq, code, reason) = (delivery.stream_seq, refusal.code.as_str(), refusal.reason.as_str());
            counter!("runledger_refused_events_total", "code" => code).increment(1);
            match refusal.code {
                Code::Conflict => {
                    tracing::error!(org, event_id, run, ?subject, stream_seq, code, reason, "refused an event")
                }
                Code::OrgMismatch | Code::TypeMismatch => {
                    tracing::warn!(
                        org,
                        ?subject,
                        stream_seq,
                        code,
                        reason,
                        security = true,
                        "refused an event that claims to be another's"
                    );
                }
                _ => tracing::info!(org, event_id, run, ?subject, stream_seq, code, reason, "refused an event"),
            }
            self.announcer.refused(org_id, &delivery.subject, delivery.stream_seq, refusal).await;
        }
    }
}

/// Commits what a partition brings. The connection holds the lease.
struct Writer<'a> {
    partition: &'a Partition,
    conn: PgConnection,
    stream: EventStream,
    cursor: Cursor,
    /// New events are the rule. After a repeated one, ids are looked up until a batch has none.
    ids: Ids,
}

impl Writer<'_> {
    /// Removing old messages can wait, appending new ones cannot: trouble with NATS is for the next time.
    async fn trim(&mut self, keep: chrono::Duration) -> Result<(), IngestError> {
        match self.cursor.trim(&mut self.conn, &self.stream, keep).await {
            Err(IngestError::Stream(error)) => {
                tracing::warn!(partition = self.cursor.partition, %error, "old messages could not be removed from the stream");
                Ok(())
            }
            result => result,
        }
    }

    /// Commits deliveries in their order. A part that the database refuses for its data is halved until
    /// the culprit is alone.
    async fn commit(&mut self, batch: &[Fed]) -> Result<(), IngestError> {
        let now = crate::now();
        let verdicts: Vec<Verdict> = batch.iter().map(|fed| wire::admit(&fed.delivery.message(), now)).collect();
        within(COMMIT_MAX, self.commit_verdicts(batch, &verdicts)).await
    }

    async fn commit_verdicts(&mut self, batch: &[Fed], verdicts: &[Verdict]) -> Result<(), IngestError> {
        let mut parts = Vec::new();
        parts.push(0..batch.len());
        while let Some(part) = parts.pop() {
            match self.commit_part(&batch[part.clone()], &verdicts[part.clone()]).await {
                Err(IngestError::Append(AppendError::NotNew)) => {
                    self.ids = Ids::LookedUp;
                    parts.push(part);
                }
                Err(IngestError::Database(error) | IngestError::Append(AppendError::Database(error)))
                    if refuses_data(&error) && verdicts[part.clone()].iter().any(Result::is_ok) =>
                {
                    if part.len() > 1 {
                        let middle = part.start + part.len() / 2;
                        parts.push(middle..part.end);
                        parts.push(part.start..middle);
                        continue;
                    }
                    let reason = format!("PostgreSQL refused the event: {error}; please report this");
                    let refused = [Err(Refusal::new(Code::DatabaseRefused, reason))];
                    self.commit_part(&batch[part], &refused).await?;
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn commit_part(&mut self, batch: &[Fed], verdicts: &[Verdict]) -> Result<(), IngestError> {
        let Some(last) = batch.last() else { return Ok(()) };
        let started = Instant::now();
        let admitted: Vec<&Event> = verdicts.iter().flatten().collect();
        append::make_partitions(&mut self.conn, &admitted).await?;
        let position = self.cursor.clone();
        let mut tx = self.conn.begin().await?;
        let outcomes = append::append(&mut tx, &admitted, crate::now(), self.ids).await?;
        let refused = refusals(batch, verdicts, &outcomes);
        for Refused { delivery, refusal, .. } in &refused {
            dead_letter::store(&mut tx, self.stream.created_at, delivery, refusal).await?;
        }
        self.cursor.advance(&mut tx, &self.stream, &last.delivery).await?;
        if let Err(error) = tx.commit().await {
            self.cursor = position;
            return Err(error.into());
        }
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Appended(_))) {
            self.ids = Ids::TakenForNew;
        }
        histogram!("runledger_append_seconds").record(started.elapsed().as_secs_f64());
        histogram!("runledger_append_batch_events").record(batch.len() as f64);
        self.partition.tell(&admitted, &outcomes, &refused).await;
        Ok(())
    }
}

/// A delivery that was refused, at the door or, when there is an event, by the ledger.
struct Refused<'a> {
    delivery: &'a Delivery,
    event: Option<&'a Event>,
    refusal: &'a Refusal,
}

fn refusals<'a>(batch: &'a [Fed], verdicts: &'a [Verdict], outcomes: &'a [Outcome]) -> Vec<Refused<'a>> {
    let mut outcomes = outcomes.iter();
    let mut refused = Vec::new();
    for (Fed { delivery, .. }, verdict) in batch.iter().zip(verdicts) {
        match verdict {
            Err(refusal) => refused.push(Refused { delivery, event: None, refusal }),
            Ok(event) => {
                if let Some(Outcome::Refused(refusal)) = outcomes.next() {
                    refused.push(Refused { delivery, event: Some(event), refusal });
                }
            }
        }
    }
    refused
}

/// Completes when the connection that holds the lease is lost while nothing is asked of it.
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

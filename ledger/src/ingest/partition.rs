//! Holds one partition: reads it, commits batches, until told to stop or until the lease is lost.

use std::{sync::Arc, time::Duration};

use events::{Code, Event, Refusal, wire};
use metrics::{counter, gauge, histogram};
use sqlx::{Connection, PgConnection};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{IngestError, announce::Announcer, cursor::Cursor, lease, reader::PartitionReader};
use crate::{
    append::{self, AppendError, Outcome},
    connection::{Backoff, Database, Outage, refuses_data},
    dead_letter,
    stream::{Delivery, EventStream},
};

/// How often messages beyond the keep period are removed from the stream.
const TRIM_INTERVAL: Duration = Duration::from_secs(3600);

/// What holding a partition takes.
#[derive(Clone)]
pub(super) struct Partition {
    pub(super) stream: EventStream,
    pub(super) announcer: Announcer,
    pub(super) database: Database,
    pub(super) postgres: Arc<Outage>,
    /// Told when an org was registered.
    pub(super) org_registered: Arc<Notify>,
    pub(super) keep: Option<chrono::Duration>,
}

impl Partition {
    /// Takes the lease and keeps it until `stop`. Returns early when somebody else has it, or when it
    /// is lost: whoever finds the partition free takes it then.
    pub(super) async fn hold(self, partition: u32, stop: CancellationToken) {
        match self.read(partition, &stop).await {
            Ok(()) => {}
            Err(IngestError::Database(error) | IngestError::Append(AppendError::Database(error))) => {
                self.postgres.began(&error)
            }
            Err(error) => tracing::warn!(partition, %error, "gave the partition up; it is taken again in a moment"),
        }
    }

    async fn read(&self, partition: u32, stop: &CancellationToken) -> Result<(), IngestError> {
        let mut conn = self.database.connect().await?;
        if !lease::take(&mut conn, partition).await? {
            return Ok(());
        }
        self.postgres.ended();
        // The stream may have been deleted and made anew since this process started.
        let stream = EventStream::ensure(self.stream.client()).await?;
        let mut cursor = Cursor::load(&mut conn, &stream, partition).await?;
        tracing::debug!(partition, stream_seq = cursor.stream_seq, "reading the partition");
        let mut reader = PartitionReader::new(stream.clone(), partition, cursor.stream_seq);
        let mut trim_due = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            if let Some(keep) = self.keep.filter(|_| Instant::now() >= trim_due) {
                cursor.trim(&mut conn, &stream, keep).await?;
                trim_due = Instant::now() + TRIM_INTERVAL;
            }
            let deliveries = tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(trim_due), if self.keep.is_some() => continue,
                deliveries = reader.next() => deliveries,
                broken = lost(&mut conn) => return Err(broken.into()),
            };
            match deliveries {
                Ok(deliveries) => {
                    self.commit(&mut conn, &stream, &mut cursor, &deliveries).await?;
                    gauge!("runledger_stream_lag_messages", "partition" => partition.to_string())
                        .set(reader.pending() as f64);
                    backoff = Backoff::default();
                }
                // The connection to NATS says itself when it is lost.
                Err(error) => {
                    tracing::debug!(partition, %error, "the stream cannot be read at the moment");
                    backoff.wait().await;
                }
            }
        }
        conn.close().await?;
        Ok(())
    }

    /// Commits deliveries in their order. A part that the database refuses for its data is halved until
    /// the culprit is alone.
    async fn commit(
        &self,
        conn: &mut PgConnection,
        stream: &EventStream,
        cursor: &mut Cursor,
        deliveries: &[Delivery],
    ) -> Result<(), IngestError> {
        let now = crate::now();
        let verdicts: Vec<Result<Event, Refusal>> =
            deliveries.iter().map(|delivery| wire::admit(&delivery.message(), now)).collect();
        let mut parts = vec![0..deliveries.len()];
        while let Some(part) = parts.pop() {
            match self.commit_part(conn, stream, cursor, &deliveries[part.clone()], &verdicts[part.clone()]).await {
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
                    self.commit_part(conn, stream, cursor, &deliveries[part], &refused).await?;
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn commit_part(
        &self,
        conn: &mut PgConnection,
        stream: &EventStream,
        cursor: &mut Cursor,
        deliveries: &[Delivery],
        verdicts: &[Result<Event, Refusal>],
    ) -> Result<(), IngestError> {
        let Some(last) = deliveries.last() else { return Ok(()) };
        let started = Instant::now();
        let admitted: Vec<&Event> = verdicts.iter().flatten().collect();
        append::make_partitions(conn, &admitted).await?;
        let position = cursor.clone();
        let mut tx = conn.begin().await?;
        let outcomes = append::append(&mut tx, &admitted, crate::now()).await?;
        let refused = refusals(deliveries, verdicts, &outcomes);
        dead_letter::store(&mut tx, stream.created_at, &refused).await?;
        cursor.advance(&mut tx, stream, last).await?;
        if let Err(error) = tx.commit().await {
            *cursor = position;
            return Err(error.into());
        }
        histogram!("runledger_append_seconds").record(started.elapsed().as_secs_f64());
        histogram!("runledger_append_batch_events").record(deliveries.len() as f64);
        self.tell(&admitted, &outcomes, &refused).await;
        Ok(())
    }

    /// Announces, counts and logs what was committed.
    async fn tell(&self, admitted: &[&Event], outcomes: &[Outcome], refused: &[(&Delivery, &Refusal)]) {
        let ranges = append::ranges(admitted, outcomes);
        for (org_id, (first, last)) in &ranges {
            counter!("runledger_appended_events_total").increment((last.get() - first.get() + 1) as u64);
            tracing::debug!(%org_id, %first, %last, "appended");
            self.announcer.appended(*org_id, *first, *last).await;
        }
        if ranges.values().any(|(first, _)| first.get() == 1) {
            self.org_registered.notify_one();
        }
        for (delivery, refusal) in refused {
            let org_id = wire::org_of_subject(&delivery.subject);
            let subject = String::from_utf8_lossy(&delivery.subject);
            let org = org_id.map(tracing::field::display);
            let (stream_seq, code, reason) = (delivery.stream_seq, refusal.code.as_str(), refusal.reason.as_str());
            counter!("runledger_refused_events_total", "code" => code).increment(1);
            match refusal.code {
                Code::Conflict => tracing::error!(org, %subject, stream_seq, code, reason, "refused an event"),
                Code::OrgMismatch | Code::TypeMismatch => {
                    tracing::warn!(org, %subject, stream_seq, code, reason, security = true, "refused an event that claims to be another's");
                }
                _ => tracing::info!(org, %subject, stream_seq, code, reason, "refused an event"),
            }
            self.announcer.refused(org_id, &delivery.subject, delivery.stream_seq, refusal).await;
        }
    }
}

/// Every delivery that was refused, at the door or by the ledger.
fn refusals<'a>(
    deliveries: &'a [Delivery],
    verdicts: &'a [Result<Event, Refusal>],
    outcomes: &'a [Outcome],
) -> Vec<(&'a Delivery, &'a Refusal)> {
    let mut outcomes = outcomes.iter();
    let mut refused = Vec::new();
    for (delivery, verdict) in deliveries.iter().zip(verdicts) {
        match verdict {
            Err(refusal) => refused.push((delivery, refusal)),
            Ok(_) => {
                if let Some(Outcome::Refused(refusal)) = outcomes.next() {
                    refused.push((delivery, refusal));
                }
            }
        }
    }
    refused
}

/// Completes when the connection that holds the lease is lost while nothing is asked of it.
async fn lost(conn: &mut PgConnection) -> sqlx::Error {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Err(error) = conn.ping().await {
            return error;
        }
    }
}

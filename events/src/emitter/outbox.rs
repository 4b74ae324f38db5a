//! The transactional outbox: events that are sent exactly when the service's own transaction commits.
//!
//! The service makes the tables of [`TABLES`] in its own database, calls [`add`] inside its
//! transactions, and lets a [`Relay`] run somewhere; several may. What is committed is published at
//! least once, under ids that the ledger takes once, whatever dies in between.

use std::time::Duration;

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID};
use futures::future;
use sqlx::{PgConnection, PgPool, Row};

use super::{Ack, EmitError, Emitter, PAUSE_MAX, PAUSE_MIN, message::Outgoing};
use crate::{envelope::Event, wire};

/// The tables of the outbox, to be made in the service's own database; making them twice is
/// harmless.
pub const TABLES: &str = include_str!("outbox.sql");

/// So many rows a relay takes at a time.
const BATCH: i64 = 256;

/// What the outbox stumbled over.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The service's database.
    #[error("the outbox's database failed: {0}; make sure that its tables are there")]
    Database(#[from] sqlx::Error),
    /// The event or NATS.
    #[error(transparent)]
    Emit(#[from] EmitError),
}

// The queries here are not checked when they are compiled: their tables stand in another database
// than the ledger's.

/// Puts the event into the outbox, within the transaction of `connection`. An event without a
/// `sequence` is counted, by org, subject and source, and so transactions about one subject follow
/// one another. Fails for what the ledger would refuse.
pub async fn add(connection: &mut PgConnection, event: &Event) -> Result<(), OutboxError> {
    let mut event = event.clone();
    if event.sequence().is_none() {
        let count = "INSERT INTO runledger_outbox_sequence AS counted (org_id, subject_id, source, sequence)
                     VALUES ($1, $2, $3, 1)
                     ON CONFLICT (org_id, subject_id, source) DO UPDATE SET sequence = counted.sequence + 1
                     RETURNING sequence";
        let sequence: i64 = sqlx::query_scalar(count)
            .bind(event.org_id)
            .bind(event.subject_id)
            .bind(&event.source)
            .fetch_one(&mut *connection)
            .await?;
        event.set_sequence(sequence);
    }
    let outgoing = Outgoing::of(&event)?;
    sqlx::query("INSERT INTO runledger_outbox (subject, message_id, message) VALUES ($1, $2, $3)")
        .bind(outgoing.subject)
        .bind(format!("{}:{}", event.org_id, event.event_id))
        .bind(wire::to_structured(&event))
        .execute(connection)
        .await?;
    Ok(())
}

/// Publishes what stands in the outbox, oldest first, and removes what the stream has.
#[derive(Clone, Debug)]
pub struct Relay {
    emitter: Emitter,
    pool: PgPool,
    idle: Duration,
}

impl Relay {
    /// A relay that looks again after `idle` when it finds nothing.
    pub fn new(emitter: Emitter, pool: PgPool, idle: Duration) -> Self {
        Self { emitter, pool, idle }
    }

    /// Publishes until it is dropped, through every outage of the database or of NATS.
    pub async fn run(&self) {
        let mut pause = PAUSE_MIN;
        loop {
            match self.publish_batch().await {
                Ok(0) => tokio::time::sleep(self.idle).await,
                Ok(_) => pause = PAUSE_MIN,
                Err(error) => {
                    tracing::warn!(%error, pause_ms = pause.as_millis(), "the outbox waits");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Publishes the oldest rows that no other relay has at hand; says how many are done with.
    /// What the stream will never take is kept, with the reason in `refused`.
    pub async fn publish_batch(&self) -> Result<usize, OutboxError> {
        let mut transaction = self.pool.begin().await?;
        let oldest = "SELECT outbox_id, subject, message_id, message FROM runledger_outbox
                      WHERE refused IS NULL ORDER BY outbox_id LIMIT $1 FOR UPDATE SKIP LOCKED";
        // All of them are sent before the first acknowledgement is awaited.
        let batch = BATCH.min(self.emitter.options.in_flight_max as i64);
        let rows = sqlx::query(oldest).bind(batch).fetch_all(&mut *transaction).await?;
        let messages = rows.iter().map(message).collect::<Result<Vec<_>, _>>()?;

        let mut done = Vec::new();
        let mut refused = (Vec::new(), Vec::new());
        let mut outage = None;
        for (outbox_id, answer) in self.publish(messages).await {
            match answer {
                Ok(_) => done.push(outbox_id),
                Err(error) if error.is_passing() => outage = Some(error),
                Err(error) => {
                    tracing::error!(%error, outbox_id, "the outbox keeps an event that cannot be sent");
                    refused.0.push(outbox_id);
                    refused.1.push(error.to_string());
                }
            }
        }
        let count = done.len() + refused.0.len();
        sqlx::query("DELETE FROM runledger_outbox WHERE outbox_id = ANY($1)")
            .bind(done)
            .execute(&mut *transaction)
            .await?;
        let refuse =
            "UPDATE runledger_outbox SET refused = reason FROM UNNEST($1::bigint[], $2::text[]) AS r (id, reason)
                      WHERE outbox_id = r.id";
        sqlx::query(refuse).bind(refused.0).bind(refused.1).execute(&mut *transaction).await?;
        transaction.commit().await?;
        outage.map_or(Ok(count), |error| Err(error.into()))
    }

    /// Sends each message once, one behind the other, and then waits for the acknowledgements; the pauses
    /// are the relay's, between its transactions.
    async fn publish(&self, messages: Vec<(i64, Outgoing)>) -> Vec<(i64, Result<Ack, EmitError>)> {
        let jetstream = &self.emitter.jetstream;
        let mut sent = Vec::new();
        for (outbox_id, outgoing) in messages {
            let ack = outgoing.send(jetstream).await;
            sent.push(async move {
                let answer = match ack {
                    Ok(ack) => outgoing.acknowledged(jetstream, ack).await,
                    Err(error) => Err(error),
                };
                (outbox_id, answer)
            });
        }
        future::join_all(sent).await
    }
}

fn message(row: &sqlx::postgres::PgRow) -> Result<(i64, Outgoing), sqlx::Error> {
    let message_id: String = row.try_get("message_id")?;
    let message: String = row.try_get("message")?;
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, message_id);
    let outgoing = Outgoing { event: None, subject: row.try_get("subject")?, headers, payload: message.into() };
    Ok((row.try_get("outbox_id")?, outgoing))
}

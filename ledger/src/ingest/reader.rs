//! Reads one partition of the stream in order, from a position on.
//!
//! Invariant: what [`PartitionReader::next`] returns follows directly on what it returned before;
//! no message is left out, whatever the client or the server loses on the way. The server numbers
//! what it delivers, so a gap shows. After any trouble the reader is done with: whoever reads on looks
//! at the stream and the cursor again first, because the trouble may have been the loss of messages.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use chrono::SubsecRound;
use futures::{FutureExt, StreamExt};
use tokio::{
    task::unconstrained,
    time::{Instant, timeout, timeout_at},
};

use crate::stream::{
    Delivery, EventStream, Headers, MESSAGE_BYTES_MAX, STREAM, StreamError, partition_filter, published_subject,
};

/// The most messages of one batch.
const BATCH_MESSAGES_MAX: usize = 4_096;
/// The bytes at which a batch ends. What a partition holds is one batch and what the server sent ahead of
/// it; times [`crate::stream::PARTITIONS`] that bounds a ledger process: see `docs/PERFORMANCE.md`.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a batch may wait for messages that the server says it has.
const GATHER_MAX: Duration = Duration::from_millis(10);
/// How many messages are fetched one by one before the flow is opened again.
const ONE_BY_ONE_MAX: usize = 256;
/// How long nothing may come before it is checked that there is nothing.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// What the server sends ahead at most; the greatest message must fit.
const FETCH_BYTES_MAX: usize = MESSAGE_BYTES_MAX as usize + 128 * 1024;

pub(super) struct PartitionReader {
    stream: EventStream,
    partition: u32,
    /// The stream sequence number of the last message returned.
    position: u64,
    /// Whether the next messages are fetched one by one, in a form that survives any bytes: what broke the
    /// flow may have been a message that the client cannot read from a consumer.
    one_by_one: bool,
    open: Option<Open>,
    /// Messages that the server holds behind the last one returned.
    pending: u64,
}

struct Open {
    messages: pull::Stream,
    /// The server's number of the last message it delivered.
    delivered: u64,
    /// The batch in the making, each message with the number of those behind it. Kept here, so that it is
    /// not lost when nobody waits for it to the end.
    gathered: Vec<(Delivery, u64)>,
    gathered_bytes: usize,
}

impl PartitionReader {
    /// A reader from `position` on; `after_trouble` when the flow broke there before.
    pub(super) fn new(stream: EventStream, partition: u32, position: u64, after_trouble: bool) -> Self {
        Self { stream, partition, position, one_by_one: after_trouble, open: None, pending: 0 }
    }

    /// How many messages of the partition wait behind the last one returned, as the server said then.
    pub(super) fn pending(&self) -> u64 {
        self.pending
    }

    /// The next messages: at least one, and as many as are there, up to the bounds. Nothing is lost
    /// when the future is dropped.
    ///
    /// # Errors
    /// When the flow breaks; the reader is of no use then.
    pub(super) async fn next(&mut self) -> Result<Vec<Delivery>, StreamError> {
        loop {
            if self.one_by_one {
                let batch = self.next_one_by_one().await?;
                self.one_by_one = false;
                if let Some(last) = batch.last() {
                    self.position = last.stream_seq;
                    return Ok(batch);
                }
            }
            let open = match &mut self.open {
                Some(open) => open,
                closed => closed.insert(open_at(&self.stream, self.partition, self.position).await?),
            };
            if let Ok(batch) = timeout(IDLE_MAX, open.batch()).await {
                let batch = batch.ok_or_else(broken_off)?;
                let last = &batch[batch.len() - 1];
                self.position = last.0.stream_seq;
                self.pending = last.1;
                return Ok(batch.into_iter().map(|(delivery, _)| delivery).collect());
            }
            // Nothing came. A message that the client swallowed shows by no gap until another one comes.
            if self.stream.message_after(self.position, self.partition).await?.is_some() {
                self.open = None;
                self.one_by_one = true;
            }
        }
    }

    async fn next_one_by_one(&self) -> Result<Vec<Delivery>, StreamError> {
        let mut batch = Vec::new();
        let (mut position, mut bytes) = (self.position, 0);
        while batch.len() < ONE_BY_ONE_MAX && bytes < BATCH_BYTES_MAX {
            let Some(delivery) = self.stream.message_after(position, self.partition).await? else { break };
            position = delivery.stream_seq;
            bytes += delivery.bytes();
            batch.push(delivery);
        }
        Ok(batch)
    }
}

fn broken_off() -> StreamError {
    StreamError::Request { request: "deliver messages", reason: "the delivery broke off".to_owned() }
}

async fn open_at(stream: &EventStream, partition: u32, position: u64) -> Result<Open, StreamError> {
    let failed =
        |error: &dyn std::fmt::Display| StreamError::Request { request: "open a consumer", reason: error.to_string() };
    let config = pull::Config {
        filter_subject: partition_filter(partition),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: position + 1 },
        // The position is kept with the data; nothing depends on acknowledgements.
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: Duration::from_secs(10),
        ..Default::default()
    };
    let consumer =
        stream.jetstream().create_consumer_on_stream(config, STREAM).await.map_err(|error| failed(&error))?;
    // From here on the consumer ends with the stream. Before, the stream may have been made anew.
    if !stream.is_still_there().await? {
        return Err(broken_off());
    }
    let messages = consumer
        .stream()
        .max_messages_per_batch(BATCH_MESSAGES_MAX)
        .max_bytes_per_batch(FETCH_BYTES_MAX)
        .expires(Duration::from_secs(20))
        .heartbeat(Duration::from_secs(1))
        .messages()
        .await
        .map_err(|error| failed(&error))?;
    Ok(Open { messages, delivered: 0, gathered: Vec::new(), gathered_bytes: 0 })
}

impl Open {
    /// What is there now and what the server says is on its way, after waiting for the first. None when the
    /// flow broke before anything came.
    async fn batch(&mut self) -> Option<Vec<(Delivery, u64)>> {
        if self.gathered.is_empty() {
            let first = self.messages.next().await;
            self.gather(first)?;
        }
        let gathered_until = Instant::now() + GATHER_MAX;
        while self.gathered.len() < BATCH_MESSAGES_MAX && self.gathered_bytes < BATCH_BYTES_MAX {
            // Tokio would have a task wait after each hundred messages, and end the batch there.
            let next = match unconstrained(self.messages.next()).now_or_never() {
                Some(next) => next,
                None if self.gathered.last().is_none_or(|(_, pending)| *pending == 0) => break,
                None => match timeout_at(gathered_until, self.messages.next()).await {
                    Ok(next) => next,
                    Err(_late) => break,
                },
            };
            if self.gather(next).is_none() {
                break;
            }
        }
        self.gathered_bytes = 0;
        Some(std::mem::take(&mut self.gathered))
    }

    /// Keeps the message, with the number of those pending, if it is the one that follows. Once it is not,
    /// nothing later is either.
    fn gather(&mut self, next: Option<Result<jetstream::Message, pull::MessagesError>>) -> Option<()> {
        let message = next?.ok()?;
        let info = message.info().ok()?;
        if info.consumer_sequence != self.delivered + 1 {
            return None;
        }
        self.delivered += 1;
        let (stream_seq, pending, stored_at) = (info.stream_sequence, info.pending, info.published.trunc_subsecs(6));
        let delivery = Delivery {
            stream_seq,
            stored_at,
            subject: published_subject(&message.subject).into(),
            headers: message.headers.as_ref().map(headers).unwrap_or_default(),
            payload: message.message.payload,
        };
        self.gathered_bytes += delivery.bytes();
        self.gathered.push((delivery, pending));
        Some(())
    }
}

fn headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::with_capacity(map.len());
    for (name, values) in map.iter() {
        values.iter().for_each(|value| headers.push_displayed(name, value.as_str().as_bytes()));
    }
    headers
}

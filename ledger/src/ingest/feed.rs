//! Reads the stream once for all partitions that this process holds: the server would look through all of
//! it for each consumer.
//!
//! Invariant: each partition is handed its messages in order, and none is left out, whatever the client or
//! the server loses on the way. The server numbers what it delivers, so a gap shows. Wherever the flow is
//! opened, the server must still hold what was handed over last; if it does not, or after any other trouble,
//! all partitions are let go, and look at the stream and their cursors again before they come back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use futures::{StreamExt, future::try_join_all};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    cursor::Cursor,
    lane::{LANES, lane_of},
};
use crate::stream::{
    Delivery, EventStream, Headers, MESSAGE_BYTES_MAX, PARTITIONS, STREAM, StreamError, partition_filter, partition_of,
    published_subject,
};

/// The bytes of a lane's messages that were read and not yet committed: what bounds a ledger process, see
/// `docs/PERFORMANCE.md`.
const WAITING_KIB_MAX: usize = 24 * 1024 / LANES as usize;
/// The messages of one partition among them.
const WAITING_MESSAGES_MAX: usize = 4_096;
/// What the server sends ahead at most; the greatest message must fit.
const FETCH_MESSAGES_MAX: usize = 4_096;
const FETCH_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX as usize;
/// How long to wait for more partitions before the stream is opened: they come in company.
const COMPANY_WAIT: Duration = Duration::from_millis(10);
/// How long a partition or a lane that takes nothing may hold up the others.
const STALL_MAX: Duration = Duration::from_secs(30);
/// How long the server keeps a consumer that does not ask: longer than the flow can be held up.
const CONSUMER_KEPT: Duration = Duration::from_secs(120);
/// How many messages are fetched one by one before the flow is opened again.
const ONE_BY_ONE_MAX: usize = 256;
/// How long nothing may come before it is checked that there is nothing.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// The feed of a process; cheap to clone. It ends with the last clone.
#[derive(Clone)]
pub(super) struct Feed {
    subscriptions: mpsc::Sender<Subscription>,
}

/// A message that counts against the bound until it is dropped.
pub(super) struct Fed {
    pub(super) partition: u32,
    pub(super) delivery: Delivery,
    _room: OwnedSemaphorePermit,
}

/// What a partition is to be handed.
struct Subscription {
    stream: EventStream,
    partition: u32,
    /// The stream sequence number of the last message handed over.
    position: u64,
    /// When it was stored, if it should still be there.
    stored_at: Option<DateTime<Utc>>,
    /// Whether what broke the flow may have been a message that the client cannot read from a consumer.
    after_trouble: bool,
    messages: mpsc::Sender<Fed>,
}

impl Feed {
    /// Starts feeding.
    pub(super) fn start() -> Self {
        let (subscriptions, orders) = mpsc::channel(PARTITIONS as usize);
        let room = std::array::from_fn(|_| Arc::new(Semaphore::new(WAITING_KIB_MAX)));
        tokio::spawn(Feeder { orders, held: BTreeMap::new(), one_by_one: false, room }.run());
        Self { subscriptions }
    }

    /// The messages of a partition behind its cursor; `after_trouble` when the flow broke there before. They
    /// end when the flow breaks.
    pub(super) async fn subscribe(
        &self,
        stream: EventStream,
        cursor: &Cursor,
        after_trouble: bool,
    ) -> mpsc::Receiver<Fed> {
        let (messages, receiver) = mpsc::channel(WAITING_MESSAGES_MAX);
        let (partition, position, stored_at) = (cursor.partition, cursor.stream_seq, cursor.stored_at());
        let subscription = Subscription { stream, partition, position, stored_at, after_trouble, messages };
        // A feeder that is gone ends the messages at once.
        let _ = self.subscriptions.send(subscription).await;
        receiver
    }
}

struct Feeder {
    orders: mpsc::Receiver<Subscription>,
    held: BTreeMap<u32, Subscription>,
    /// Whether the next messages are fetched one by one, in a form that survives any bytes.
    one_by_one: bool,
    /// Of each lane: one that takes nothing must not use up what the others need.
    room: [Arc<Semaphore>; LANES as usize],
}

/// Why reading the stream was left off.
enum Left {
    /// Another partition is to be read.
    Joined(Box<Subscription>),
    /// There is a message that did not come.
    Swallowed,
    /// Nobody wants messages any more.
    Done,
}

impl Feeder {
    async fn run(mut self) {
        while let Some(first) = self.orders.recv().await {
            self.join(first);
            self.feed().await;
        }
    }

    /// Feeds the partitions until nobody is left.
    async fn feed(&mut self) {
        while !self.held.is_empty() {
            sleep(COMPANY_WAIT).await;
            while let Ok(another) = self.orders.try_recv() {
                self.join(another);
            }
            match self.read().await {
                Ok(Left::Joined(another)) => self.join(*another),
                Ok(Left::Swallowed) => self.one_by_one = true,
                Ok(Left::Done) => self.held.clear(),
                Err(error) => {
                    tracing::debug!(%error, "the stream cannot be read; its partitions begin anew");
                    self.held.clear();
                }
            }
        }
    }

    fn join(&mut self, subscription: Subscription) {
        // Whoever looks at another stream than this one finds out by itself that it is gone.
        self.held.retain(|_, held| held.stream.created_at == subscription.stream.created_at);
        self.one_by_one |= subscription.after_trouble;
        self.held.insert(subscription.partition, subscription);
    }

    async fn read(&mut self) -> Result<Left, StreamError> {
        self.held.retain(|_, held| !held.messages.is_closed());
        let Some(stream) = self.held.values().next().map(|held| held.stream.clone()) else { return Ok(Left::Done) };
        // A partition that joins again and again must not keep the others from what is new.
        let goal = self.held.values().map(|held| held.position).max().unwrap_or(0);
        let position = self.catch_up(&stream).await?;
        if self.held.is_empty() {
            return Ok(Left::Done);
        }
        let mut reached = position >= goal;
        let mut flow = Flow::open(&stream, position, self.held.keys().copied()).await?;
        // From here on the consumer ends with the stream. Before, the stream may have been made anew.
        self.check_held(&stream).await?;
        let mut idle_at = Instant::now() + IDLE_MAX;
        loop {
            tokio::select! {
                order = self.orders.recv(), if reached => {
                    return Ok(order.map_or(Left::Done, |subscription| Left::Joined(Box::new(subscription))));
                }
                next = flow.next() => {
                    let Next::Message(partition, delivery) = next.ok_or_else(StreamError::broken_off)? else {
                        return Ok(Left::Swallowed);
                    };
                    reached |= delivery.stream_seq >= goal;
                    self.hand_over(partition, delivery).await;
                    idle_at = Instant::now() + IDLE_MAX;
                }
                () = sleep_until(idle_at) => {
                    reached = true;
                    // A message that the client swallowed shows by no gap until another one comes.
                    if !self.waiting(&stream).await?.is_empty() {
                        return Ok(Left::Swallowed);
                    }
                    idle_at = Instant::now() + IDLE_MAX;
                }
            }
            if self.held.is_empty() {
                return Ok(Left::Done);
            }
        }
    }

    /// Where to open the flow so that nobody misses anything. If one message may be what broke it, the next
    /// ones are handed over one by one first.
    async fn catch_up(&mut self, stream: &EventStream) -> Result<u64, StreamError> {
        let last_seq = stream.last_seq().await?;
        let mut waiting = self.waiting(stream).await?;
        self.check_held(stream).await?;
        let one_by_one = if std::mem::take(&mut self.one_by_one) { ONE_BY_ONE_MAX } else { 0 };
        for _ in 0..one_by_one {
            let Some(partition) = first(&waiting) else { break };
            let Some(delivery) = waiting.remove(&partition) else { break };
            let stream_seq = delivery.stream_seq;
            self.hand_over(partition, delivery).await;
            if !self.held.contains_key(&partition) {
                continue;
            }
            if let Some(next) = stream.message_after(stream_seq, partition).await? {
                waiting.insert(partition, next);
            }
        }
        Ok(open_behind(last_seq, &waiting))
    }

    /// Makes sure that the stream has not lost what was handed over.
    async fn check_held(&self, stream: &EventStream) -> Result<(), StreamError> {
        let still_held = self.held.values().map(async |held| match held.stored_at {
            Some(_) => stream.still_holds(held.position, held.stored_at).await,
            None => Ok(true),
        });
        let all = try_join_all(still_held).await?.into_iter().all(|still| still);
        if all && stream.is_still_there().await? { Ok(()) } else { Err(StreamError::broken_off()) }
    }

    /// The next message of each partition that has one.
    async fn waiting(&self, stream: &EventStream) -> Result<BTreeMap<u32, Delivery>, StreamError> {
        let next = self.held.values().map(async |held| stream.message_after(held.position, held.partition).await);
        let next = try_join_all(next).await?;
        Ok(self.held.keys().copied().zip(next).filter_map(|(partition, next)| Some((partition, next?))).collect())
    }

    /// Hands a message to its partition, unless it had it before. Waits for room.
    async fn hand_over(&mut self, partition: u32, delivery: Delivery) {
        let Some(held) = self.held.get_mut(&partition) else { return };
        if delivery.stream_seq <= held.position {
            return;
        }
        let kib = (delivery.bytes() / 1024 + 1).min(WAITING_KIB_MAX) as u32;
        let lane = lane_of(partition);
        let Ok(Ok(room)) = timeout(STALL_MAX, self.room[lane as usize].clone().acquire_many_owned(kib)).await else {
            self.held.retain(|partition, _| lane_of(*partition) != lane);
            return;
        };
        held.position = delivery.stream_seq;
        held.stored_at = Some(delivery.stored_at);
        // A copy: the payload as it came keeps all that was read with it in memory.
        let delivery = Delivery { payload: Bytes::copy_from_slice(&delivery.payload), ..delivery };
        if held.messages.send_timeout(Fed { partition, delivery, _room: room }, STALL_MAX).await.is_err() {
            // It is gone, or does nothing; then it commits what it has, and comes back.
            self.held.remove(&partition);
        }
    }
}

/// Where to open the flow. The last number was asked for first: what a partition was found not to have lies behind
/// it, also where another's next message came later.
fn open_behind(last_seq: u64, waiting: &BTreeMap<u32, Delivery>) -> u64 {
    waiting.values().map(|delivery| delivery.stream_seq - 1).fold(last_seq, u64::min)
}

/// The partition whose message comes first in the stream.
fn first(waiting: &BTreeMap<u32, Delivery>) -> Option<u32> {
    waiting.iter().min_by_key(|(_, delivery)| delivery.stream_seq).map(|(partition, _)| *partition)
}

/// What a consumer brings.
enum Next {
    Message(u32, Delivery),
    /// A message before this one did not come.
    Gap,
}

/// An open consumer.
struct Flow {
    messages: pull::Stream,
    /// The server's number of the last message it delivered.
    delivered: u64,
}

impl Flow {
    async fn open(
        stream: &EventStream,
        position: u64,
        partitions: impl ExactSizeIterator<Item = u32>,
    ) -> Result<Self, StreamError> {
        let failed = |error: &dyn std::fmt::Display| StreamError::Request {
            request: "open a consumer",
            reason: error.to_string(),
        };
        let all = partitions.len() == PARTITIONS as usize;
        let config = pull::Config {
            // The server is faster where it need not look at subjects.
            filter_subjects: if all { Vec::new() } else { partitions.map(partition_filter).collect() },
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: position + 1 },
            // The position is kept with the data; nothing depends on acknowledgements.
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: CONSUMER_KEPT,
            ..Default::default()
        };
        let consumer =
            stream.jetstream().create_consumer_on_stream(config, STREAM).await.map_err(|error| failed(&error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(FETCH_MESSAGES_MAX)
            .max_bytes_per_batch(FETCH_BYTES_MAX)
            .expires(Duration::from_secs(20))
            .heartbeat(Duration::from_secs(1))
            .messages()
            .await
            .map_err(|error| failed(&error))?;
        Ok(Self { messages, delivered: 0 })
    }

    /// The next message and its partition; none when the flow breaks. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Option<Next> {
        let message: jetstream::Message = self.messages.next().await?.ok()?;
        let info = message.info().ok()?;
        if info.consumer_sequence != self.delivered + 1 {
            return Some(Next::Gap);
        }
        self.delivered += 1;
        let (stream_seq, stored_at) = (info.stream_sequence, info.published.trunc_subsecs(6));
        let delivery = Delivery {
            stream_seq,
            stored_at,
            subject: published_subject(&message.subject).into(),
            headers: message.headers.as_ref().map(headers).unwrap_or_default(),
            payload: message.message.payload,
        };
        Some(Next::Message(partition_of(&message.message.subject)?, delivery))
    }
}

fn headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::with_capacity(map.len());
    for (name, values) in map.iter() {
        values.iter().for_each(|value| headers.push_displayed(name, value.as_str().as_bytes()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_at(stream_seq: u64) -> Delivery {
        Delivery {
            stream_seq,
            stored_at: DateTime::UNIX_EPOCH,
            subject: Bytes::new(),
            headers: Headers::default(),
            payload: Bytes::new(),
        }
    }

    #[test]
    fn the_flow_is_opened_before_whatever_came_after_the_stream_was_looked_at() {
        assert_eq!(open_behind(100, &BTreeMap::new()), 100);
        // 101 came for a partition that had been asked already.
        assert_eq!(open_behind(100, &BTreeMap::from([(1, next_at(102))])), 100);
        assert_eq!(open_behind(100, &BTreeMap::from([(1, next_at(90)), (2, next_at(70))])), 69);
    }
}

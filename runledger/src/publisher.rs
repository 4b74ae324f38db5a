//! Publishing messages as they are, in the order given, with many acknowledgements awaited at once.
//!
//! Unlike [`events::emitter`], which sends events that the ledger takes, this sends whatever it is
//! given, byte for byte: what `emit` reads, what `simulate` spoils on purpose, what `import` makes, what `replay`
//! sends again.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::{
    Client, HeaderMap,
    jetstream::{
        Context,
        context::{ContextBuilder, PublishAckFuture, PublishError, PublishErrorKind},
        publish::PublishAck,
    },
};
use bytes::Bytes;
use events::{
    Event,
    wire::{self, Replayed},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};

const IN_FLIGHT_MAX: usize = 1_024;
const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: u32 = 8;

/// A message for the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

impl Publication {
    /// The event in binary mode, with the id by which NATS knows it again.
    pub fn of(event: &Event) -> Self {
        Self::with_headers(wire::subject(event), event, wire::to_headers(event))
    }

    /// The event in binary mode with its place in the ledger, on a subject below this prefix.
    pub fn replayed(prefix: &str, replayed: &Replayed) -> Self {
        let event = &replayed.event;
        let subject = format!("{prefix}.{}.{}", event.org_id, event.event_type);
        Self::with_headers(subject, event, replayed.to_headers())
    }

    /// The same without that id, as of a service that sets none: NATS takes it every time.
    pub fn without_id(event: &Event) -> Self {
        let mut headers = wire::to_headers(event);
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Nats-Msg-Id"));
        Self::with_headers(wire::subject(event), event, headers)
    }

    fn with_headers(subject: String, event: &Event, named: Vec<(String, String)>) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in named {
            headers.insert(name, value);
        }
        Self { subject, headers, payload: event.data.as_bytes().clone() }
    }
}

/// What came of publishing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Messages that the stream has.
    pub messages: u64,
    /// Those among them that NATS knew already by their id.
    pub duplicates: u64,
    /// The last one's place in the stream; 0 if there is none.
    pub last_stream_seq: u64,
}

/// Publishes messages in the order given.
pub struct Publisher {
    jetstream: Context,
    in_flight: FuturesUnordered<BoxFuture<'static, anyhow::Result<(PublishAck, usize)>>>,
    in_flight_bytes: usize,
    acknowledged: Acknowledged,
}

impl Publisher {
    /// A publisher on this connection.
    pub fn new(client: &Client) -> Self {
        let jetstream =
            ContextBuilder::new().timeout(ACK_TIMEOUT).max_ack_inflight(IN_FLIGHT_MAX * 2).build(client.clone());
        Self {
            jetstream,
            in_flight: FuturesUnordered::new(),
            in_flight_bytes: 0,
            acknowledged: Acknowledged::default(),
        }
    }

    /// Sends the message; waits while too much is on its way.
    ///
    /// # Errors
    /// When a message, this or one before, cannot be sent for good.
    pub async fn publish(&mut self, publication: Publication) -> anyhow::Result<()> {
        while self.in_flight.len() >= IN_FLIGHT_MAX || self.in_flight_bytes > IN_FLIGHT_BYTES_MAX {
            self.next_ack().await?;
        }
        while let Some(Some(ack)) = self.in_flight.next().now_or_never() {
            self.count(ack?);
        }
        // Sent here and now, not when the acknowledgement is polled: that keeps the order.
        let sent = send(&self.jetstream, &publication).await;
        self.in_flight_bytes += publication.payload.len();
        self.in_flight.push(acknowledge(self.jetstream.clone(), publication, sent).boxed());
        Ok(())
    }

    /// Waits until the stream has everything.
    ///
    /// # Errors
    /// When a message cannot be sent for good.
    pub async fn finish(mut self) -> anyhow::Result<Acknowledged> {
        self.settle().await?;
        Ok(self.acknowledged)
    }

    /// Waits until the stream has everything sent so far.
    ///
    /// # Errors
    /// When a message cannot be sent for good.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        while !self.in_flight.is_empty() {
            self.next_ack().await?;
        }
        Ok(())
    }

    async fn next_ack(&mut self) -> anyhow::Result<()> {
        if let Some(ack) = self.in_flight.next().await {
            self.count(ack?);
        }
        Ok(())
    }

    fn count(&mut self, (ack, bytes): (PublishAck, usize)) {
        self.in_flight_bytes -= bytes;
        self.acknowledged.messages += 1;
        self.acknowledged.duplicates += u64::from(ack.duplicate);
        self.acknowledged.last_stream_seq = self.acknowledged.last_stream_seq.max(ack.sequence);
    }
}

async fn send(jetstream: &Context, publication: &Publication) -> Result<PublishAckFuture, PublishError> {
    let Publication { subject, headers, payload } = publication.clone();
    jetstream.publish_with_headers(subject, headers, payload).await
}

/// Waits for the acknowledgement, and sends again when it does not come.
async fn acknowledge(
    jetstream: Context,
    publication: Publication,
    mut sent: Result<PublishAckFuture, PublishError>,
) -> anyhow::Result<(PublishAck, usize)> {
    let mut attempt = 1;
    loop {
        let error = match sent {
            Ok(ack) => match ack.await {
                Ok(ack) => return Ok((ack, publication.payload.len())),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let is_passing = matches!(
            error.kind(),
            // Nobody answers for the stream while the server reads its store after a restart.
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::StreamNotFound
        );
        if !is_passing || attempt == ATTEMPTS_MAX {
            let subject = &publication.subject;
            return Err(error).with_context(|| format!("the stream did not take a message to {subject}; see whether NATS is well and the stream has room, then do this again, which is harmless"));
        }
        tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        attempt += 1;
        sent = send(&jetstream, &publication).await;
    }
}

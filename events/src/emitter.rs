//! Publishing events to the ledger's stream.
//!
//! Every event passes the ledger's door ([`crate::wire::admit`]) before it is sent, so what the
//! ledger would refuse for its form is an error here and now. Sending is done when the stream has
//! acknowledged it; until then it is tried again under the same id, which the ledger and the stream
//! take once. Called by services, by the `emit`, `simulate` and `import` commands, and by tests.
//!
//! ```no_run
//! # async fn example(org_id: events::id::OrgId, run_id: events::id::RunId) -> Result<(), Box<dyn std::error::Error>> {
//! use events::emitter::{Emitter, EmitterOptions};
//! use events::payload::{RunCompleted, RunStarted};
//!
//! let emitter = Emitter::connect("nats://127.0.0.1:4222", EmitterOptions::new("/eligibility")).await?;
//! let run = emitter.run(org_id, run_id);
//! run.emit(&RunStarted::default()).await?;
//! run.emit(&RunCompleted::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A service that must not lose an event when it dies between its own commit and the
//! acknowledgement writes to the [`outbox`] instead.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, ServerAddr, jetstream};
use futures::{Stream, StreamExt, TryStreamExt};

use crate::{
    envelope::Event,
    id::{OrgId, RunId},
};

mod error;
mod message;
pub mod outbox;
mod places;
mod run;

pub use error::{EmitError, Unsent};
pub use run::RunEmitter;

use message::Outgoing;
use places::Places;

/// The pause before the second attempt to send an event; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How an [`Emitter`] sends.
#[derive(Clone, Debug)]
pub struct EmitterOptions {
    /// The emitting service, a URI-reference such as `/eligibility`: the `source` of its events.
    pub source: String,
    /// So many events may be sent and not acknowledged yet; further ones wait.
    pub in_flight_max: usize,
    /// So long is an acknowledgement waited for before the event is sent again.
    pub ack_timeout: Duration,
    /// So long is an event tried before [`EmitError`] says that it may not have arrived.
    pub give_up_after: Duration,
}

impl EmitterOptions {
    /// For this source: 1,024 events in flight, 5 seconds for an acknowledgement, a minute in all.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            in_flight_max: 1024,
            ack_timeout: Duration::from_secs(5),
            give_up_after: Duration::from_secs(60),
        }
    }
}

/// What the stream says of an event that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Its place in the stream.
    pub stream_seq: u64,
    /// Whether the stream had it already, as it has after a lost acknowledgement.
    pub is_duplicate: bool,
}

/// How to connect to the NATS server at this URL.
pub fn connect_options(nats_url: &str) -> ConnectOptions {
    // The client takes no notice of the user and password in a URL by itself.
    let address = nats_url.parse::<ServerAddr>().ok();
    let user = address.as_ref().and_then(|address| Some((address.username()?, address.password()?)));
    let options = match user {
        Some((user, password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        None => ConnectOptions::new(),
    };
    // Servers announce addresses that may not be reachable from here.
    options.ignore_discovered_servers()
}

/// Publishes events; cheap to clone, and clones share the connection, its bounds and the count.
#[derive(Clone, Debug)]
pub struct Emitter {
    jetstream: jetstream::Context,
    options: Arc<EmitterOptions>,
    places: Arc<Places>,
}

impl Emitter {
    /// An emitter with a connection of its own, which is made in the background and made again
    /// whenever it is lost. Fails for an address that is none.
    pub async fn connect(nats_url: &str, options: EmitterOptions) -> Result<Self, EmitError> {
        let client = connect_options(nats_url)
            .name(format!("runledger emitter of {}", options.source))
            .retry_on_initial_connect()
            .connect(nats_url)
            .await
            .map_err(|source| EmitError::Connect { url: nats_url.to_owned(), source })?;
        Ok(Self::new(client, options))
    }

    /// An emitter on a connection of the caller's, who has settled credentials and TLS.
    pub fn new(client: Client, options: EmitterOptions) -> Self {
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(options.ack_timeout)
            .max_ack_inflight(options.in_flight_max)
            .backpressure_on_inflight(true)
            .build(client);
        Self { jetstream, options: Arc::new(options), places: Arc::new(Places::new(places::EVENTS_MAX)) }
    }

    /// The source of its events.
    pub fn source(&self) -> &str {
        &self.options.source
    }

    /// Sends the event and waits until the stream has it. An event without a `sequence` is counted by
    /// org, subject and source; sent again, it has the same one. Of the events sent last, 65,536 are
    /// remembered: a subject that they leave out is counted from 1 again, which raises no alarm and may
    /// hide a loss. Whoever knows when a subject ends counts without that limit: see [`Emitter::run`].
    pub async fn emit(&self, event: &Event) -> Result<Ack, EmitError> {
        self.publish(&self.counted(event)?).await
    }

    /// Sends all events, many at a time and so in no particular order, and says how many the stream
    /// has when it has them all. They are counted as by [`Emitter::emit`]. Stops at the first that
    /// cannot be sent; sending all of them again is harmless.
    pub async fn emit_all(&self, events: impl Stream<Item = Event>) -> Result<u64, EmitError> {
        events
            .map(|event| self.counted(&event))
            .map(|outgoing| async { self.publish(&outgoing?).await })
            .buffer_unordered(self.options.in_flight_max)
            .try_fold(0, async |count, _| Ok(count + 1))
            .await
    }

    /// A handle that sends the events of one run and counts them.
    pub fn run(&self, org_id: OrgId, run_id: RunId) -> RunEmitter {
        RunEmitter::new(self.clone(), org_id, run_id)
    }

    fn counted(&self, event: &Event) -> Result<Outgoing, EmitError> {
        let mut outgoing = Outgoing::of(event)?;
        outgoing.count(|event| self.places.of(event));
        Ok(outgoing)
    }

    /// Sends a message until it is acknowledged, the stream refuses it, or time is up.
    async fn publish(&self, outgoing: &Outgoing) -> Result<Ack, EmitError> {
        let give_up_at = tokio::time::Instant::now() + self.options.give_up_after;
        let mut pause = PAUSE_MIN;
        loop {
            let error = match outgoing.publish(&self.jetstream).await {
                Ok(ack) => return Ok(ack),
                Err(error) => error,
            };
            if !error.is_passing() || tokio::time::Instant::now() + pause >= give_up_at {
                return Err(error);
            }
            tracing::warn!(%error, pause_ms = pause.as_millis(), "publishing again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

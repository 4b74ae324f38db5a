//! The JetStream stream that events come through.
//!
//! The stream numbers the partitions itself, by a subject transform: publishers know nothing of them,
//! and all events of an org are in one.

use std::{fmt, time::Duration};

use async_nats::{
    Client, ConnectErrorKind,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{self, AckPolicy, DeliverPolicy, pull},
        context::{GetStreamError, GetStreamErrorKind},
        stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, SubjectTransform},
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use events::wire::{self, Message};
use serde::Deserialize;

mod headers;

pub use headers::Headers;

/// The stream's name.
pub const STREAM: &str = "RUNLEDGER";
/// How many partitions the stream's transform makes.
pub const PARTITIONS: u32 = 16;
/// The greatest message the stream takes, headers included: the server's default `max_payload`.
pub const MESSAGE_BYTES_MAX: i32 = 1024 * 1024;

const SUBJECTS: &str = "runledger.events.*.>";
const PREFIX: &str = "runledger.events.";

/// Trouble with NATS.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No server answers there, or it refuses the credentials.
    #[error("NATS at {url} cannot be reached: {source}; start it, or set RUNLEDGER_NATS_URL to where it runs")]
    Connect {
        /// Where, without credentials.
        url: String,
        #[source]
        /// Why.
        source: async_nats::ConnectError,
    },
    /// The stream cannot be read or made.
    #[error(
        "stream {STREAM} cannot be looked up or made: {0}; is JetStream enabled on this NATS server (`nats-server -js`)?"
    )]
    Setup(String),
    /// The stream is there and is not ours, or could lose events.
    #[error("stream {STREAM} exists with another {0} than events need; move it away or correct it, then start again")]
    Foreign(&'static str),
    /// A request failed.
    #[error("NATS failed to {request} of stream {STREAM}: {reason}")]
    Request {
        /// What was asked.
        request: &'static str,
        /// Why it failed.
        reason: String,
    },
}

impl StreamError {
    /// Whether trying again would not help: the URL is none.
    pub fn is_bad_url(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == ConnectErrorKind::ServerParse)
    }

    /// Messages stopped coming in between.
    pub(crate) fn broken_off() -> Self {
        Self::Request { request: "deliver messages", reason: "the delivery broke off".to_owned() }
    }

    fn request(request: &'static str) -> impl Fn(&dyn fmt::Display) -> Self + Copy {
        move |reason| Self::Request { request, reason: reason.to_string() }
    }
}

/// The stream as it stands on the server.
#[derive(Clone, Debug)]
pub struct EventStream {
    jetstream: Context,
    client: Client,
    /// When it was made: a stream made anew has another.
    pub created_at: DateTime<Utc>,
}

impl EventStream {
    /// The stream; made if it is missing.
    ///
    /// # Errors
    /// When JetStream does not answer, or a stream of this name is of another shape.
    pub async fn ensure(client: &Client) -> Result<Self, StreamError> {
        let jetstream = jetstream::new(client.clone());
        let stream =
            jetstream.get_or_create_stream(config()).await.map_err(|error| StreamError::Setup(error.to_string()))?;
        let info = stream.cached_info();
        check(&info.config)?;
        Ok(Self { created_at: info.created.trunc_subsecs(6), jetstream, client: client.clone() })
    }

    /// The stream, if it is there.
    ///
    /// # Errors
    /// When JetStream does not answer.
    pub async fn find(client: &Client) -> Result<Option<Self>, StreamError> {
        let jetstream = jetstream::new(client.clone());
        match jetstream.get_stream(STREAM).await {
            Ok(stream) => {
                let created_at = stream.cached_info().created.trunc_subsecs(6);
                Ok(Some(Self { created_at, jetstream, client: client.clone() }))
            }
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(StreamError::Setup(error.to_string())),
        }
    }

    /// Whether the stream has not been deleted or made anew since.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn is_still_there(&self) -> Result<bool, StreamError> {
        let failed = StreamError::request("look up the state");
        let stream = self.jetstream.get_stream(STREAM).await.map_err(|error| failed(&error))?;
        Ok(stream.cached_info().created.trunc_subsecs(6) == self.created_at)
    }

    /// The sequence number of the message that was stored last; 0 before the first.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn last_seq(&self) -> Result<u64, StreamError> {
        let failed = StreamError::request("look up the state");
        let stream = self.jetstream.get_stream(STREAM).await.map_err(|error| failed(&error))?;
        Ok(stream.cached_info().state.last_sequence)
    }

    /// The JetStream context it was found through.
    pub fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// The connection it was found through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The message with this sequence number; none if it is not there (any more).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn message_at(&self, stream_seq: u64) -> Result<Option<Delivery>, StreamError> {
        self.get_message(serde_json::json!({ "seq": stream_seq })).await
    }

    /// Whether the message at `stream_seq` is the one that was stored then. A server that lost power may hand
    /// sequence numbers out again.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn still_holds(&self, stream_seq: u64, stored_at: Option<DateTime<Utc>>) -> Result<bool, StreamError> {
        let message = self.message_at(stream_seq).await?;
        Ok(message.is_some_and(|message| Some(message.stored_at) == stored_at))
    }

    /// The first message of a partition behind `stream_seq`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn message_after(&self, stream_seq: u64, partition: u32) -> Result<Option<Delivery>, StreamError> {
        self.get_message(serde_json::json!({ "seq": stream_seq + 1, "next_by_subj": partition_filter(partition) }))
            .await
    }

    /// Asks for one message in the API's base64 form, which survives any bytes. The client's own
    /// calls, and consumers, fail on a header or subject that is not UTF-8.
    async fn get_message(&self, request: serde_json::Value) -> Result<Option<Delivery>, StreamError> {
        let failed = StreamError::request("get a message");
        let subject = format!("$JS.API.STREAM.MSG.GET.{STREAM}");
        let response =
            self.client.request(subject, request.to_string().into()).await.map_err(|error| failed(&error))?;
        let response: GetResponse = serde_json::from_slice(&response.payload).map_err(|error| failed(&error))?;
        match (response.message, response.error) {
            (Some(stored), _) => stored.into_delivery().map(Some).map_err(|error| failed(&error)),
            (None, Some(error)) if error.code == 404 => Ok(None),
            (None, Some(error)) => Err(failed(&error.description)),
            (None, None) => Err(failed(&"the answer holds no message")),
        }
    }

    /// The sequence number of the first message that was stored at `time` or later, or would be.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn first_since(&self, time: DateTime<Utc>, partition: u32) -> Result<u64, StreamError> {
        // A consumer says where it stands before anything is delivered to it.
        let consumer = self.glance(DeliverPolicy::ByStartTime { start_time: time }, partition).await?;
        Ok(consumer.delivered.stream_sequence + 1)
    }

    /// How many messages of a partition stand behind `stream_seq`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn count_after(&self, stream_seq: u64, partition: u32) -> Result<u64, StreamError> {
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: stream_seq + 1 };
        Ok(self.glance(deliver_policy, partition).await?.num_pending)
    }

    /// What the server says of a consumer that is never used.
    async fn glance(&self, deliver_policy: DeliverPolicy, partition: u32) -> Result<consumer::Info, StreamError> {
        let config = pull::Config {
            filter_subject: partition_filter(partition),
            deliver_policy,
            ack_policy: AckPolicy::None,
            headers_only: true,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(2),
            ..Default::default()
        };
        let failed = StreamError::request("open a consumer");
        let consumer =
            self.jetstream.create_consumer_on_stream(config, STREAM).await.map_err(|error| failed(&error))?;
        Ok(consumer.cached_info().clone())
    }

    /// Removes a partition's messages before `stream_seq`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn purge_before(&self, stream_seq: u64, partition: u32) -> Result<u64, StreamError> {
        let failed = StreamError::request("purge messages");
        let stream = self.jetstream.get_stream_no_info(STREAM).await.map_err(|error| failed(&error))?;
        let purged = stream
            .purge()
            .filter(partition_filter(partition))
            .sequence(stream_seq)
            .await
            .map_err(|error| failed(&error))?;
        Ok(purged.purged)
    }
}

fn config() -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        subject_transform: Some(SubjectTransform {
            source: SUBJECTS.to_owned(),
            destination: format!("{PREFIX}{{{{partition({PARTITIONS},1)}}}}.{{{{wildcard(1)}}}}.>"),
        }),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        // A full stream refuses new events; it never drops old ones.
        discard: DiscardPolicy::New,
        max_message_size: MESSAGE_BYTES_MAX,
        num_replicas: 1,
        ..Default::default()
    }
}

fn is_not_found(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What must be as we make it: where subjects go, and all by which a stream forgets.
fn check(is: &Config) -> Result<(), StreamError> {
    let ours = config();
    let same = [
        ("list of subjects", is.subjects == ours.subjects),
        ("subject transform", is.subject_transform == ours.subject_transform),
        ("storage", is.storage == ours.storage),
        ("retention policy", is.retention == ours.retention),
        ("discard policy", is.discard == ours.discard),
        ("max_age", is.max_age.is_zero()),
        ("max_msgs_per_subject", is.max_messages_per_subject <= 0),
    ];
    match same.into_iter().find(|(_, is_same)| !is_same) {
        Some((setting, _)) => Err(StreamError::Foreign(setting)),
        None => Ok(()),
    }
}

/// The subjects of a partition as they are stored.
pub(crate) fn partition_filter(partition: u32) -> String {
    format!("{PREFIX}{partition}.>")
}

/// The partition that a stored subject is in.
pub(crate) fn partition_of(stored: &str) -> Option<u32> {
    stored.strip_prefix(PREFIX)?.split_once('.')?.0.parse().ok()
}

/// The subject that was published, from the one that is stored: without the partition's number.
pub(crate) fn published_subject(stored: &str) -> String {
    match stored.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')) {
        Some((_partition, rest)) => format!("{PREFIX}{rest}"),
        None => stored.to_owned(),
    }
}

/// A message with its place in the stream.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its sequence number in the stream.
    pub stream_seq: u64,
    /// The server's clock when it was stored, in whole microseconds.
    pub stored_at: DateTime<Utc>,
    /// The subject it was published to.
    pub subject: Bytes,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub payload: Bytes,
}

impl Delivery {
    /// How many bytes were published.
    pub fn bytes(&self) -> usize {
        self.subject.len() + self.headers.bytes() + self.payload.len()
    }

    /// The message as the door takes it.
    pub fn message(&self) -> Message<'_> {
        Message { subject: &self.subject, headers: self.headers.iter().collect(), payload: self.payload.clone() }
    }
}

#[derive(Deserialize)]
struct GetResponse {
    message: Option<StoredMessage>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: u16,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct StoredMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: DateTime<Utc>,
}

impl StoredMessage {
    fn into_delivery(self) -> Result<Delivery, base64::DecodeError> {
        let headers = BASE64_STANDARD.decode(self.hdrs)?;
        // The API's JSON shows bytes that are not UTF-8 as U+FFFD. A byte that is not UTF-8 in its place
        // lets the door see what the matter is.
        let subject = published_subject(&self.subject).into_bytes();
        let subject = split_on(&subject, "\u{FFFD}".as_bytes()).join(&[0xFF][..]);
        Ok(Delivery {
            stream_seq: self.seq,
            stored_at: self.time.trunc_subsecs(6),
            subject: subject.into(),
            headers: wire::header_block(&headers).into_iter().collect(),
            payload: BASE64_STANDARD.decode(self.data)?.into(),
        })
    }
}

fn split_on<'a>(bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(separator.len()).position(|window| window == separator) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_subject_has_no_partition() {
        assert_eq!(published_subject("runledger.events.7.abc.run.started"), "runledger.events.abc.run.started");
    }
}

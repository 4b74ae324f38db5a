//! The JetStream stream that events come through, and connections to NATS.
//!
//! The stream numbers the partitions itself, by a subject transform: publishers know nothing of them,
//! and all events of an org are in one.

use std::{fmt, sync::Arc, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, SubjectTransform},
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use events::{
    emitter::connect_options,
    wire::{self, Message},
};
use futures::StreamExt;
use serde::Deserialize;

use crate::connection::Outage;

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
    /// The stream is there and is not ours.
    #[error("stream {STREAM} exists with another {0}; move it away or correct it, then start again")]
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
    fn request(request: &'static str) -> impl Fn(&dyn fmt::Display) -> Self + Copy {
        move |reason| Self::Request { request, reason: reason.to_string() }
    }
}

/// Connects to NATS; the connection then comes back by itself for ever, and says so once.
///
/// # Errors
/// When the first attempt fails.
pub async fn connect(url: &str, outage: Arc<Outage>) -> Result<Client, StreamError> {
    connect_options(url)
        .name("runledger")
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| Duration::from_millis(50 << attempt.min(5)))
        .event_callback(move |event| {
            let outage = outage.clone();
            async move {
                match event {
                    async_nats::Event::Disconnected => outage.began(&"disconnected"),
                    async_nats::Event::Connected => outage.ended(),
                    _ => {}
                }
            }
        })
        .connect(url)
        .await
        .map_err(|source| StreamError::Connect { url: without_credentials(url), source })
}

fn without_credentials(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => url.to_owned(),
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
        let (is, ours) = (&info.config, config());
        if is.subjects != ours.subjects {
            return Err(StreamError::Foreign("list of subjects"));
        }
        if is.subject_transform != ours.subject_transform {
            return Err(StreamError::Foreign("subject transform"));
        }
        Ok(Self { created_at: info.created.trunc_subsecs(6), jetstream, client: client.clone() })
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

    /// The sequence number of a partition's first message that was stored at `time` or later.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn first_since(&self, time: DateTime<Utc>, partition: u32) -> Result<Option<u64>, StreamError> {
        let deliver_policy = DeliverPolicy::ByStartTime { start_time: time };
        let (pending, consumer) = self.glance(deliver_policy, partition).await?;
        if pending == 0 {
            return Ok(None);
        }
        let failed = StreamError::request("look for a message by its time");
        let mut messages = consumer.fetch().max_messages(1).messages().await.map_err(|error| failed(&error))?;
        match messages.next().await {
            Some(Ok(message)) => message.info().map(|info| Some(info.stream_sequence)).map_err(|error| failed(&error)),
            // The client cannot read it: nothing is known, so nothing is older.
            _ => Ok(Some(0)),
        }
    }

    /// How many messages of a partition stand behind `stream_seq`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn count_after(&self, stream_seq: u64, partition: u32) -> Result<u64, StreamError> {
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: stream_seq + 1 };
        Ok(self.glance(deliver_policy, partition).await?.0)
    }

    /// A consumer that is used once, and what waits for it.
    async fn glance(&self, deliver_policy: DeliverPolicy, partition: u32) -> Result<(u64, PullConsumer), StreamError> {
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
        Ok((consumer.cached_info().num_pending, consumer))
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

/// The subjects of a partition as they are stored.
pub(crate) fn partition_filter(partition: u32) -> String {
    format!("{PREFIX}{partition}.>")
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
    /// Its headers, names and values.
    pub headers: Vec<(Bytes, Bytes)>,
    /// Its body.
    pub payload: Bytes,
}

impl Delivery {
    /// The message as the door takes it.
    pub fn message(&self) -> Message<'_> {
        Message {
            subject: &self.subject,
            headers: self.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect(),
            payload: self.payload.clone(),
        }
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
        let headers = wire::header_block(&headers).into_iter();
        Ok(Delivery {
            stream_seq: self.seq,
            stored_at: self.time.trunc_subsecs(6),
            subject: subject.into(),
            headers: headers
                .map(|(name, value)| (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)))
                .collect(),
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

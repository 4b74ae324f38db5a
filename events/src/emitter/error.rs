//! Why an event could not be sent.

use std::fmt;

use async_nats::jetstream::{self, context::PublishErrorKind};

use super::message::Outgoing;
use crate::{envelope::Event, refusal::Refusal};

/// An event that was sent in vain. For people it is its type and its id; it is had back from
/// [`EmitError::into_event`].
#[derive(Clone, Debug)]
pub struct Unsent {
    name: String,
    event: Option<Box<Event>>,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Why an event could not be sent, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// Not the address of a server.
    #[error("cannot connect to NATS at {url}: {source}; give an address such as nats://127.0.0.1:4222")]
    Connect {
        /// The address.
        url: String,
        /// What the client says.
        source: async_nats::ConnectError,
    },
    /// The payload cannot be written as JSON.
    #[error("the payload of a {event_type} cannot be written as JSON: {source}")]
    Unwritable {
        /// Its type.
        event_type: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The ledger would refuse the event; it was not sent.
    #[error("{message} would be refused by the ledger: {refusal}")]
    Refused {
        /// Which event.
        message: String,
        /// Why.
        refusal: Refusal,
    },
    /// No stream takes the subject, or JetStream is not there.
    #[error("no stream takes {message}; start `runledger ledger` or run `runledger migrate`, which make the stream")]
    NoStream {
        /// Which event.
        message: Unsent,
    },
    /// The stream takes nothing now: it is full, or its server is short of disk or memory.
    #[error("the stream does not take {message} now: {reason}; let the ledger catch up, or give the stream more room")]
    Unavailable {
        /// Which event.
        message: Unsent,
        /// What the server says.
        reason: String,
    },
    /// The message is larger than the stream or the server allows.
    #[error("{message} is too large for the stream: {reason}; send less, such as a reference in place of the content")]
    TooLarge {
        /// Which event.
        message: Unsent,
        /// What the client or the server says.
        reason: String,
    },
    /// The server did not answer: the event may have arrived or not. Sending it again is harmless.
    #[error(
        "NATS did not acknowledge {message} in time; see that it can be reached and send the event again: that is harmless even if it arrived"
    )]
    NoAck {
        /// Which event.
        message: Unsent,
    },
    /// The stream refused the message for another reason.
    #[error("the stream refused {message}: {reason}")]
    Rejected {
        /// Which event.
        message: Unsent,
        /// What the server says.
        reason: String,
    },
}

impl EmitError {
    /// Whether the same event may go through later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NoStream { .. } | Self::Unavailable { .. } | Self::NoAck { .. })
    }

    /// The event as it was sent, with its id and its `sequence`, for sending that one again: a new
    /// event of the same content would be another one. None if the event was refused before it was
    /// sent and so took no `sequence`, or if it stands in the [outbox](super::outbox).
    pub fn into_event(self) -> Option<Event> {
        match self {
            Self::NoStream { message }
            | Self::Unavailable { message, .. }
            | Self::TooLarge { message, .. }
            | Self::NoAck { message }
            | Self::Rejected { message, .. } => message.event.map(|event| *event),
            Self::Connect { .. } | Self::Unwritable { .. } | Self::Refused { .. } => None,
        }
    }

    /// What the client's error means for this message.
    pub(super) fn of(error: &jetstream::context::PublishError, outgoing: &Outgoing, is_connected: bool) -> Self {
        let message = Unsent { name: outgoing.to_string(), event: outgoing.event.clone() };
        let server = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
        let reason = server.map_or_else(|| error.to_string(), ToString::to_string);
        match (error.kind(), server) {
            // Before the first connection, the client knows a limit of nought.
            (PublishErrorKind::MaxPayloadExceeded, _) if !is_connected => Self::NoAck { message },
            (PublishErrorKind::MaxPayloadExceeded, _) => Self::TooLarge { message, reason },
            (PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::MaxAckPending, _) => {
                Self::NoAck { message }
            }
            (PublishErrorKind::StreamNotFound, _) => Self::NoStream { message },
            (_, Some(server)) if server.error_code() == jetstream::ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => {
                Self::TooLarge { message, reason }
            }
            (_, Some(server)) if server.code() == 503 => Self::Unavailable { message, reason },
            _ => Self::Rejected { message, reason },
        }
    }
}

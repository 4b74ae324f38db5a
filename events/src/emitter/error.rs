//! Why an event could not be sent.

use async_nats::jetstream::{self, context::PublishErrorKind};

use crate::refusal::Refusal;

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
        message: String,
    },
    /// The stream takes nothing now: it is full, or its server is short of disk or memory.
    #[error("the stream does not take {message} now: {reason}; let the ledger catch up, or give the stream more room")]
    Unavailable {
        /// Which event.
        message: String,
        /// What the server says.
        reason: String,
    },
    /// The message is larger than the stream or the server allows.
    #[error("{message} is too large for the stream: {reason}; send less, such as a reference in place of the content")]
    TooLarge {
        /// Which event.
        message: String,
        /// What the client or the server says.
        reason: String,
    },
    /// The server did not answer: the event may have arrived or not. Sending it again is harmless.
    #[error(
        "NATS did not acknowledge {message} in time; see that it can be reached and send the event again: that is harmless even if it arrived"
    )]
    NoAck {
        /// Which event.
        message: String,
    },
    /// The stream refused the message for another reason.
    #[error("the stream refused {message}: {reason}")]
    Rejected {
        /// Which event.
        message: String,
        /// What the server says.
        reason: String,
    },
}

impl EmitError {
    /// Whether the same event may go through later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NoStream { .. } | Self::Unavailable { .. } | Self::NoAck { .. })
    }

    /// What the client's error means for this message.
    pub(super) fn of(error: &jetstream::context::PublishError, message: &str, is_connected: bool) -> Self {
        let message = message.to_owned();
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

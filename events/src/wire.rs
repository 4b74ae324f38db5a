//! The door: what a message must be to become an event, and how an event is written as a message.
//!
//! Messages follow the CloudEvents 1.0 NATS binding, in binary or structured mode. [`admit`] is the
//! only way from a message to an [`Event`]: the ledger puts what it reads from the stream through
//! it, and dead letters that are retried, and the emitter what it is about to send. An event that
//! passed can be stored, projected, and written as a message again without a change to its content.
//!
//! The checks run in this order, and the first that fails is the reason: encoding, the subject's
//! org, JSON, attributes, payload. That a secret stands where none may is a reason before all others.

use bytes::Bytes;
use bytestring::ByteString;
use chrono::{DateTime, Utc};

use crate::{
    catalogue::{self, Payload},
    envelope::Event,
    json::JsonFault,
    payload::UiTransitionObserved,
    refusal::{Code, Refusal},
};

mod attributes;
mod binary;
mod header_block;
mod replayed;
mod secret;
mod structured;
mod subject;

pub use binary::to_headers;
pub use header_block::header_block;
pub use replayed::Replayed;
pub use structured::{to_structured, without_data};
pub use subject::{EVENTS, org_of_subject, subject};

/// A message as NATS holds it. Nothing is known of its bytes: not even that they are text.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The subject that it was published to, without the partition that the stream put in.
    pub subject: &'a [u8],
    /// Names and values, in any order; a name may occur again.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// The body. An event's `data` shares its memory.
    pub payload: Bytes,
}

/// The event that the message carries, read at this time.
///
/// # Errors
/// Every code but `unknown_org`, `conflict` and `database_refused`, which only the ledger can tell.
pub fn admit(message: &Message<'_>, now: DateTime<Utc>) -> Result<Event, Refusal> {
    let admitted = read(message, now);
    // Whatever else is wrong with it: the dead letter must not keep a secret.
    let may_hold_secrets = match &admitted {
        Ok(event) => !secret::KEPT_OUT_OF.contains(&catalogue::family(&event.event_type)),
        Err(_) => !secret::is_kept_out_of(message),
    };
    if may_hold_secrets { admitted } else { secret::refusal(message).map_or(admitted, Err) }
}

fn read(message: &Message<'_>, now: DateTime<Utc>) -> Result<Event, Refusal> {
    let name = text(message.subject, "the subject")?;
    let headers = headers(message)?;
    let payload = ByteString::try_from(message.payload.clone()).map_err(|_| not_utf8("the payload"))?;

    let subject = subject::Subject::parse(name)?;
    let (attributes, data) =
        if binary::is_binary(message) { binary::read(&headers, payload)? } else { structured::read(&payload)? };
    let event = attributes::event(attributes, &subject, data, now)?;
    let payload = catalogue::decode(&event.event_type, event.schema_version, &event.data)?;
    check_subject(&event, &payload)?;
    Ok(event)
}

/// What the payload says of the subject must be so.
fn check_subject(event: &Event, payload: &Payload) -> Result<(), Refusal> {
    match payload {
        Payload::UiTransitionObserved(UiTransitionObserved { from, .. }) if from.subject() != event.subject_id => {
            let reason = format!(
                "data.from is {from} and the subject is {}; the subject is the micro-state that the service came from",
                event.subject_id
            );
            Err(Refusal::new(Code::InvalidEvent, reason))
        }
        _ => Ok(()),
    }
}

fn headers<'a>(message: &Message<'a>) -> Result<Vec<(&'a str, &'a str)>, Refusal> {
    message.headers.iter().map(|(name, value)| Ok((text(name, "a header's name")?, text(value, "a header")?))).collect()
}

fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| not_utf8(what))
}

fn not_utf8(what: &str) -> Refusal {
    Refusal::new(Code::InvalidUtf8, format!("{what} is not UTF-8; send UTF-8"))
}

fn faulty(what: &str, fault: &JsonFault) -> Refusal {
    Refusal::new(fault.code, format!("{what} cannot be stored: {fault}; correct its JSON"))
}

#[cfg(test)]
mod tests;

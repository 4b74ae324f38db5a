//! Events that leave the ledger with what it knows of them, and come back: `ledgerseq` and
//! `recordedtime` ride along as extensions, and on the last event of a complete org `ledgerroot`.
//!
//! These three are the ledger's own: [`super::admit`] refuses them. What is written here is read back
//! to the same event, hash for hash. Written by `runledger replay`, read by `runledger emit --restore`.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;
use chrono::{DateTime, Utc};

use super::{
    attributes::{self, Attributes},
    binary, not_utf8, structured,
    subject::Subject,
};
use crate::{
    envelope::{Event, RecordedEvent},
    id::{OrgId, Seq},
    refusal::{Code, Refusal},
    time,
};

/// The attributes that only the ledger gives.
pub(super) const OWN: [&str; 3] = [SEQ, RECORDED_TIME, ROOT];
const SEQ: &str = "ledgerseq";
const RECORDED_TIME: &str = "recordedtime";
const ROOT: &str = "ledgerroot";

/// An event with its place in the ledger that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its place in its org's ledger.
    pub seq: Seq,
    /// The ledger's clock when it was appended, in whole microseconds.
    pub recorded_at: DateTime<Utc>,
    /// The root of the org's tree up to and with this event, where somebody has to know it.
    pub root: Option<[u8; 32]>,
    /// The event itself.
    pub event: Event,
}

impl From<RecordedEvent> for Replayed {
    fn from(recorded: RecordedEvent) -> Self {
        let RecordedEvent { seq, recorded_at, event, .. } = recorded;
        Self { seq, recorded_at, root: None, event }
    }
}

impl Replayed {
    /// The event in structured mode, on one line.
    pub fn to_structured(&self) -> String {
        structured::write(attributes::of_event(&self.event).into_iter().chain(self.own()), &self.event.data)
    }

    /// The headers of the event's message in binary mode; its payload is [`Event::data`].
    pub fn to_headers(&self) -> Vec<(String, String)> {
        let mut headers = super::to_headers(&self.event);
        headers.extend(self.own().map(|(name, value)| binary::header(&name, &value)));
        headers
    }

    /// The event that a line of [`Replayed::to_structured`] carries. It is held to the form of an event,
    /// and not to what only a new one must keep: its type and version may be unknown here, its time ahead.
    ///
    /// # Errors
    /// When the line is no such event.
    pub fn read(line: Bytes) -> Result<Self, Refusal> {
        let line = ByteString::try_from(line).map_err(|_| not_utf8("the line"))?;
        let (mut attributes, data) = structured::read(&line)?;
        let seq = seq(&own(&mut attributes, SEQ)?)?;
        let recorded_at = time::parse(&own(&mut attributes, RECORDED_TIME)?)
            .map_err(|error| Refusal::new(Code::InvalidTime, format!("{RECORDED_TIME}: {error}")))?;
        let root = attributes.take(ROOT).map(|root| unhex(&root)).transpose()?;
        let org_id: OrgId = attributes
            .get("orgid")
            .ok_or_else(|| invalid("orgid is missing; every event has it"))?
            .parse()
            .map_err(|error| Refusal::new(Code::InvalidId, format!("orgid: {error}")))?;
        let event_type = attributes.get("type").unwrap_or_default().to_owned();
        if event_type.is_empty() || event_type.contains([' ', '\t', '\r', '\n']) {
            return Err(invalid(format!("type is {event_type:?}; a type is one word such as run.started")));
        }
        let subject = Subject { org_id, event_type: &event_type };
        let event = attributes::event(attributes, &subject, data, DateTime::<Utc>::MAX_UTC - attributes::AHEAD_MAX)?;
        Ok(Self { seq, recorded_at, root, event })
    }

    fn own(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let root = self.root.map(|root| (ROOT.into(), hex(&root).into()));
        let seq = (SEQ.into(), self.seq.to_string().into());
        [seq, (RECORDED_TIME.into(), time::format(self.recorded_at).into())].into_iter().chain(root)
    }
}

fn own<'a>(attributes: &mut Attributes<'a>, name: &str) -> Result<Cow<'a, str>, Refusal> {
    attributes.take(name).ok_or_else(|| {
        invalid(format!("{name} is missing; only what `runledger replay` wrote has a place in a ledger"))
    })
}

fn seq(text: &str) -> Result<Seq, Refusal> {
    let number = text.parse::<i64>().ok().filter(|number| *number > 0 && number.to_string() == text);
    number.map(Seq::new).ok_or_else(|| invalid(format!("{SEQ} is {text:?}; seqs are whole numbers from 1 on")))
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<[u8; 32], Refusal> {
    let refuse = || invalid(format!("{ROOT} is {text:.80?}; a root is 64 lower-case hexadecimal digits"));
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(refuse());
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| refuse())?;
    }
    Ok(hash)
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidEvent, reason)
}

//! An event as the ledger keeps it: the CloudEvents attributes in columns and the payload's bytes.

use std::collections::BTreeMap;

use bytestring::ByteString;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    catalogue::EventData,
    id::{EventId, OrgId, Seq, SubjectId},
    time,
};

/// An event that passed the door (see [`crate::wire`]), or one read back from the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose it is.
    pub org_id: OrgId,
    /// Unique per org: the idempotency key.
    pub event_id: EventId,
    /// `<family>.<past-tense verb>`, e.g. `run.started`.
    pub event_type: String,
    /// The version of the payload's schema, from 1.
    pub schema_version: i16,
    /// What it is about.
    pub subject_id: SubjectId,
    /// The emitting service, a URI-reference.
    pub source: String,
    /// When it happened, in whole microseconds.
    pub occurred_at: DateTime<Utc>,
    /// Extension `correlationid`.
    pub correlation_id: Option<String>,
    /// Extension `causationid`.
    pub causation_id: Option<String>,
    /// Extension `traceparent`.
    pub traceparent: Option<String>,
    /// Every other attribute as one compact JSON object, keys sorted bytewise, values strings.
    pub extensions: Option<String>,
    /// The payload, byte for byte: JSON that passed [`crate::json::check`].
    pub data: ByteString,
}

impl Event {
    /// A new event, with an id made for it and the present time.
    pub fn new<T: EventData>(
        org_id: OrgId,
        subject_id: SubjectId,
        source: impl Into<String>,
        payload: &T,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            org_id,
            event_id: EventId::generate(),
            event_type: T::TYPE.to_owned(),
            schema_version: T::VERSION,
            subject_id,
            source: source.into(),
            occurred_at: time::now(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            extensions: None,
            data: serde_json::to_string(payload)?.into(),
        })
    }

    /// Whether both are the same event by the contract's measure: type, source, subject, time,
    /// version and payload bytes. Extensions and trace attributes do not count.
    pub fn same_content(&self, other: &Event) -> bool {
        self.event_type == other.event_type
            && self.source == other.source
            && self.subject_id == other.subject_id
            && self.occurred_at == other.occurred_at
            && self.schema_version == other.schema_version
            && self.data == other.data
    }

    /// The attributes of [`Event::extensions`]; none if the field is not what it has to be.
    pub fn extension_map(&self) -> BTreeMap<String, String> {
        self.extensions.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// Sets an attribute that has no column, such as `authid`.
    pub fn set_extension(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let mut extensions = self.extension_map();
        extensions.insert(name.into(), value.into());
        self.extensions = serde_json::to_string(&extensions).ok();
    }

    /// The emitter's own count of what it has sent about this subject, from 1.
    pub fn sequence(&self) -> Option<i64> {
        #[derive(Deserialize)]
        struct Sequence<'a> {
            #[serde(borrow)]
            sequence: Option<&'a str>,
        }

        serde_json::from_str::<Sequence<'_>>(self.extensions.as_deref()?).ok()?.sequence?.parse().ok()
    }

    /// Sets the emitter's count, from 1.
    pub fn set_sequence(&mut self, sequence: i64) {
        self.set_extension("sequence", format!("{sequence:010}"));
    }
}

/// An event with its place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in its org's ledger.
    pub seq: Seq,
    /// The ledger's clock when it was appended; never decreases with `seq`.
    pub recorded_at: DateTime<Utc>,
    /// RFC 6962 hash of the leaf.
    pub leaf_hash: [u8; 32],
    /// The event itself.
    pub event: Event,
}

//! Tests tell what happened and look at the rows: `rows_of([on("run.started", "10:00:00"), …])`.
//!
//! Every story is folded a second time backwards and with each event doubled, and must come to the
//! same rows, so each test is also one about order and duplicates.

use std::fmt::Debug;

use events::{
    Event, RecordedEvent,
    id::{OrgId, Seq},
};
use uuid::Uuid;

use crate::projection::{FoldEvent, Lookups, Projection, Subject};

/// Something that happened, on 2026-03-01 unless the time names a day.
#[derive(Clone, Debug)]
pub struct Told {
    event_type: &'static str,
    time: String,
    version: i16,
    id: Option<u128>,
    source: &'static str,
    sequence: Option<u64>,
    fields: Vec<String>,
    data: Option<&'static str>,
    subject: u128,
}

/// An event of this type happened at this time.
pub fn on(event_type: &'static str, time: impl Into<String>) -> Told {
    Told {
        event_type,
        time: time.into(),
        version: 1,
        id: None,
        source: "urn:claims",
        sequence: None,
        fields: Vec::new(),
        data: None,
        subject: 0xB,
    }
}

impl Told {
    /// It is about this subject instead of the one that stories are about.
    pub fn about(self, subject: u128) -> Self {
        Self { subject, ..self }
    }

    /// It is about this step.
    pub fn step(self, number: u128) -> Self {
        self.with(&format!("\"step_id\":\"{}\"", id(number)))
    }

    /// It happened at this time instead.
    pub fn at(self, time: String) -> Self {
        Self { time, ..self }
    }

    /// It says this too: members of `data`.
    pub fn with(mut self, fields: &str) -> Self {
        self.fields.push(fields.to_owned());
        self
    }

    /// Its `data` is this and nothing else.
    pub fn data(self, data: &'static str) -> Self {
        Self { data: Some(data), ..self }
    }

    /// It has this id; otherwise events are numbered in the order told.
    pub fn id(self, id: u128) -> Self {
        Self { id: Some(id), ..self }
    }

    /// It comes from this source as the emitter's so-manieth event.
    pub fn sent_by(self, source: &'static str, sequence: u64) -> Self {
        Self { source, sequence: Some(sequence), ..self }
    }

    /// It has this schema version.
    pub fn version(self, version: i16) -> Self {
        Self { version, ..self }
    }

    fn recorded(self, number: usize) -> RecordedEvent {
        let time = if self.time.contains('T') { self.time } else { format!("2026-03-01T{}", self.time) };
        let event = Event {
            org_id: subject().org_id,
            event_id: id(self.id.unwrap_or(number as u128)).try_into().unwrap(),
            event_type: self.event_type.to_owned(),
            schema_version: self.version,
            subject_id: id(self.subject).try_into().unwrap(),
            source: self.source.to_owned(),
            occurred_at: format!("{time}Z").parse().unwrap(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            extensions: self.sequence.map(|sequence| format!("{{\"sequence\":\"{sequence:010}\"}}")),
            data: self.data.map_or_else(|| format!("{{{}}}", self.fields.join(",")), str::to_owned).into(),
        };
        RecordedEvent { seq: Seq::new(number as i64), recorded_at: event.occurred_at, leaf_hash: [0; 32], event }
    }
}

/// The UUID with this number.
pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Whom all stories are about.
pub fn subject() -> Subject {
    let org_id = OrgId::try_from(id(0xA)).unwrap();
    Subject { org_id, subject_id: id(0xB).try_into().unwrap() }
}

/// The channels that stories know.
pub fn lookups() -> Lookups {
    Lookups { channels: [(subject().org_id, ["web", "voice"].map(str::to_owned).into())].into() }
}

/// The events as the ledger would have them, numbered from 1.
pub fn recorded(story: impl IntoIterator<Item = Told>) -> Vec<RecordedEvent> {
    story.into_iter().zip(1..).map(|(told, number)| told.recorded(number)).collect()
}

/// The rows that the projection makes of the story.
pub fn rows_of<P: Projection<Rows: PartialEq + Debug>>(story: impl IntoIterator<Item = Told>) -> P::Rows {
    let events = recorded(story);
    let rows = fold::<P>(events.iter());
    assert_eq!(rows, fold::<P>(events.iter().rev().chain(&events)), "another order makes other rows");
    rows
}

/// The rows after folding these events, in this order and in one go.
pub fn fold<'a, P: Projection>(events: impl IntoIterator<Item = &'a RecordedEvent>) -> P::Rows {
    let (mut state, mut rows) = (P::default(), P::Rows::default());
    for event in events {
        state.apply(FoldEvent::read::<P>(event).unwrap());
    }
    state.take_rows(subject(), &lookups(), &mut rows);
    rows
}

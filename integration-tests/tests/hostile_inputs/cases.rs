//! A list of messages with what must become of each. Behind every one a good event of the same org is
//! sent, which must be appended whatever the one before it was.

use std::collections::HashMap;

use events::id::OrgId;
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use stack::Stack;
use uuid::Uuid;

use super::raw_nats::{RawMessage, RawNats};
use crate::harness::{Sent, all_hold, stack};

/// An event in structured mode, whose data need not be JSON.
pub struct Structured {
    pub event_id: Uuid,
    pub data: Vec<u8>,
    pub sent: Sent,
}

impl Structured {
    /// A valid envelope with these bytes as `data`.
    pub fn carrying(org_id: OrgId, event_type: &str, subject_id: Uuid, data: impl Into<Vec<u8>>) -> Self {
        Self::with_members(org_id, event_type, subject_id, json!({}), data)
    }

    /// With more members, or others, in the envelope; `null` takes a member out.
    pub fn with_members(
        org_id: OrgId,
        event_type: &str,
        subject_id: Uuid,
        members: Value,
        data: impl Into<Vec<u8>>,
    ) -> Self {
        let data = data.into();
        let binary = Sent::valid(org_id, event_type, subject_id, json!({}));
        let mut envelope = Map::new();
        for (name, value) in &binary.headers {
            envelope.insert(name.trim_start_matches("ce-").to_owned(), json!(value));
        }
        for (name, value) in members.as_object().unwrap() {
            match value {
                Value::Null => envelope.remove(name),
                value => envelope.insert(name.clone(), value.clone()),
            };
        }
        let mut payload = Value::Object(envelope).to_string().into_bytes();
        payload.pop();
        payload.extend_from_slice(b",\"data\":");
        payload.extend_from_slice(&data);
        payload.push(b'}');
        let event_id = binary.header("ce-id").parse().unwrap();
        Self { event_id, data, sent: Sent { subject: binary.subject, headers: Vec::new(), payload } }
    }
}

enum Expected {
    Appended { event_id: Uuid, data: Vec<u8> },
    Refused { code: &'static str, reason_has: String },
}

struct Case {
    name: String,
    stream_seq: u64,
    expected: Expected,
    subject: String,
    headers: Value,
    payload: Vec<u8>,
    behind: Uuid,
}

/// Messages that were published, with what must become of each.
pub struct Cases {
    pub stack: Stack,
    pub org_id: OrgId,
    published: Vec<Case>,
    raw: Option<RawNats>,
}

impl Cases {
    /// On a stack of its own with one org.
    pub async fn start() -> Self {
        let stack = stack().await;
        let org_id = stack.register_org("hostile inputs").await.unwrap();
        Self { stack, org_id, published: Vec::new(), raw: None }
    }

    /// A valid event of a type whose payload is free.
    pub fn valid(&self) -> Sent {
        self.event("custom.probed", json!({}))
    }

    /// A valid event with a subject of its own.
    pub fn event(&self, event_type: &str, data: Value) -> Sent {
        Sent::valid(self.org_id, event_type, Uuid::new_v4(), data)
    }

    /// A message that must become a dead letter with this code.
    pub async fn refused(&mut self, name: &str, sent: Sent, code: &'static str) {
        self.refused_saying(name, sent, code, "").await;
    }

    /// A message that must become a dead letter with this code and this in its reason.
    pub async fn refused_saying(&mut self, name: &str, sent: Sent, code: &'static str, reason_has: &str) {
        self.publish(name, &sent, Expected::Refused { code, reason_has: reason_has.to_owned() }).await;
    }

    /// An event in binary mode that must be appended with its payload as it is.
    pub async fn appended(&mut self, name: &str, sent: Sent) {
        let (event_id, data) = (sent.header("ce-id").parse().unwrap(), sent.payload.clone());
        self.publish(name, &sent, Expected::Appended { event_id, data }).await;
    }

    /// An event in structured mode that must be appended with its data as it is.
    pub async fn appended_structured(&mut self, name: &str, event: Structured) {
        let expected = Expected::Appended { event_id: event.event_id, data: event.data };
        self.publish(name, &event.sent, expected).await;
    }

    async fn publish(&mut self, name: &str, sent: &Sent, expected: Expected) {
        let stream_seq = sent.publish(&self.stack).await;
        let headers: Map<String, Value> =
            sent.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let (subject, payload) = (sent.subject.clone(), sent.payload.clone());
        self.note(name, stream_seq, expected, subject, Value::Object(headers), payload).await;
    }

    /// A message of any bytes that must become a dead letter with this code, subject and headers.
    pub async fn refused_raw(
        &mut self,
        name: &str,
        message: RawMessage,
        code: &'static str,
        subject: &str,
        headers: Value,
    ) {
        let stream_seq = self.publish_raw(&message).await;
        let expected = Expected::Refused { code, reason_has: String::new() };
        self.note(name, stream_seq, expected, subject.to_owned(), headers, message.payload).await;
    }

    /// A message of any bytes that must be appended with its payload as it is.
    pub async fn appended_raw(&mut self, name: &str, event_id: Uuid, message: RawMessage) {
        let stream_seq = self.publish_raw(&message).await;
        let expected = Expected::Appended { event_id, data: message.payload.clone() };
        self.note(name, stream_seq, expected, String::new(), Value::Null, message.payload).await;
    }

    async fn publish_raw(&mut self, message: &RawMessage) -> u64 {
        let raw = match &mut self.raw {
            Some(raw) => raw,
            none => none.insert(RawNats::connect(self.stack.nats_url()).await),
        };
        raw.publish(message).await.unwrap()
    }

    async fn note(
        &mut self,
        name: &str,
        stream_seq: u64,
        expected: Expected,
        subject: String,
        headers: Value,
        payload: Vec<u8>,
    ) {
        let behind = Sent::valid(self.org_id, "custom.behind", Uuid::new_v4(), json!({}));
        behind.publish(&self.stack).await;
        let behind = behind.header("ce-id").parse().unwrap();
        let name = name.to_owned();
        self.published.push(Case { name, stream_seq, expected, subject, headers, payload, behind });
    }

    /// Waits until each has become what it must, and names those that have not.
    pub async fn all_hold(&self) {
        assert!(!self.published.is_empty());
        all_hold("hostile inputs", async || {
            let outcomes = Outcomes::load(&self.stack).await;
            self.published.iter().filter_map(|case| case.fault(&outcomes)).collect()
        })
        .await;
    }
}

struct Letter {
    code: String,
    reason: String,
    subject: String,
    headers: Value,
    payload: Vec<u8>,
}

struct Outcomes {
    events: HashMap<Uuid, String>,
    letters: HashMap<i64, Letter>,
}

impl Outcomes {
    async fn load(stack: &Stack) -> Self {
        let events = sqlx::query_as("SELECT event_id, data::text FROM ledger.event").fetch_all(stack.pool());
        type Row = (i64, String, String, String, Json<Value>, Vec<u8>);
        let letters: Vec<Row> =
            sqlx::query_as("SELECT stream_seq, code, reason, subject, headers, payload FROM ledger.dead_letter")
                .fetch_all(stack.pool())
                .await
                .unwrap();
        let letters = letters.into_iter().map(|(stream_seq, code, reason, subject, Json(headers), payload)| {
            (stream_seq, Letter { code, reason, subject, headers, payload })
        });
        Self { events: events.await.unwrap().into_iter().collect(), letters: letters.collect() }
    }
}

impl Case {
    fn fault(&self, outcomes: &Outcomes) -> Option<String> {
        let letter = outcomes.letters.get(&(self.stream_seq as i64));
        let fault = match (&self.expected, letter) {
            (Expected::Refused { .. }, None) => Some("is no dead letter".to_owned()),
            (Expected::Refused { code, reason_has }, Some(letter)) => self.letter_fault(letter, code, reason_has),
            (Expected::Appended { .. }, Some(letter)) => {
                Some(format!("was refused, {}: {}", letter.code, letter.reason))
            }
            (Expected::Appended { event_id, data }, None) => match outcomes.events.get(event_id) {
                None => Some("is not in the ledger".to_owned()),
                Some(stored) if stored.as_bytes() != data => Some(format!("is stored as {stored:.200}")),
                Some(_) => None,
            },
        };
        let behind =
            (!outcomes.events.contains_key(&self.behind)).then(|| "the event behind it is not appended".to_owned());
        fault.or(behind).map(|fault| format!("{}: {fault}", self.name))
    }

    fn letter_fault(&self, letter: &Letter, code: &str, reason_has: &str) -> Option<String> {
        if letter.code != code {
            return Some(format!("got {}, not {code}: {}", letter.code, letter.reason));
        }
        if letter.reason.len() < 10 || !letter.reason.contains(reason_has) {
            return Some(format!("its reason does not say {reason_has:?}: {}", letter.reason));
        }
        if letter.payload != self.payload {
            return Some("its payload was changed".to_owned());
        }
        if letter.subject != self.subject {
            return Some(format!("its subject is kept as {:?}", letter.subject));
        }
        (letter.headers != self.headers)
            .then(|| format!("its headers are kept as {}, not {}", letter.headers, self.headers))
    }
}

//! The events that the rows of a trace become, put together one by one, and what the read models then have to say.
//!
//! Every id is derived from the old keys, and an event's id from all that it says besides: rows that have not changed
//! give the same events again. What the door would refuse is a reject and not an event.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use events::{
    Code, Event, EventData, Refusal,
    id::{EventId, OrgId, RunId, StepId, SubjectId},
    payload::value::Object,
    wire::{self, Message},
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{OrgMap, Reject, Statuses, row::Row};

/// An event has at most so many bytes, so that it fits into a message with its headers.
const EVENT_BYTES_MAX: usize = ledger::stream::MESSAGE_BYTES_MAX as usize - 16 * 1024;

/// Where the runs go, and what the words of the old tables mean.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the old system is called: part of all ids.
    pub name: String,
    pub orgs: OrgMap,
    pub statuses: Statuses,
    /// The present, for what lies in the future.
    pub now: DateTime<Utc>,
}

impl Target {
    /// The id of all imports of this old system into the org.
    pub fn import_id(&self, org_id: OrgId) -> Uuid {
        Uuid::new_v5(&org_id.uuid(), format!("import legacy {}", self.name).as_bytes())
    }

    fn namespace(&self, org_id: OrgId) -> Uuid {
        Uuid::new_v5(&org_id.uuid(), format!("legacy {}", self.name).as_bytes())
    }

    fn source(&self) -> String {
        let letters = self.name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
        format!("/import/legacy/{}", letters.collect::<String>())
    }
}

/// What a trace became.
#[derive(Debug, Default)]
pub struct Translated {
    /// None if the trace was not taken.
    pub run: Option<(OrgId, RunId)>,
    /// In the order of time.
    pub events: Vec<Event>,
    /// What the read models have to say then.
    pub values: Vec<Value>,
    pub rejects: Vec<Reject>,
    /// Which table each event's row is of.
    pub tables: Vec<(EventId, &'static str)>,
}

impl Translated {
    /// The ids of the steps that were taken.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.values.iter().filter_map(|value| match value.place {
            Place::Step(step_id, "legacy_step_id") => Some(step_id.to_string()),
            _ => None,
        })
    }
}

/// A value of an old row, and of the row that it has become.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub table: &'static str,
    pub key: String,
    pub column: String,
    pub place: Place,
    pub old: Json,
    /// What the read model should have.
    pub new: Json,
    /// Why that is not the same, where it is not.
    pub reason: Option<&'static str>,
}

/// Where a value stands in the read models.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Run(&'static str),
    /// Under this key of the run's context.
    Context(String),
    Step(StepId, &'static str),
    /// In this list of a step or of the run, as the element whose member of this name has this value.
    Listed(Option<StepId>, &'static str, String, Json),
}

/// A translation under way.
pub struct Translation<'t> {
    pub target: &'t Target,
    pub org_id: OrgId,
    pub run_id: RunId,
    namespace: Uuid,
    events: Vec<Event>,
    tables: Vec<(EventId, &'static str)>,
    pub values: Vec<Value>,
    pub rejects: Vec<Reject>,
    /// When the first event was of the run (none) or of a step.
    earliest: HashMap<Option<StepId>, DateTime<Utc>>,
}

impl<'t> Translation<'t> {
    pub fn begin(target: &'t Target, org_id: OrgId, trace_id: i64) -> anyhow::Result<Self> {
        let namespace = target.namespace(org_id);
        let run_id = RunId::try_from(Uuid::new_v5(&namespace, format!("trace {trace_id}").as_bytes()))?;
        let (events, tables, values, rejects) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { target, org_id, run_id, namespace, events, tables, values, rejects, earliest: HashMap::new() })
    }

    /// The id of a step of the run.
    pub fn step_id(&self, step_id: i64) -> anyhow::Result<StepId> {
        Ok(Uuid::new_v5(&self.run_id.uuid(), format!("step {step_id}").as_bytes()).try_into()?)
    }

    /// The id that a text is, or else that is derived from it; and whether it is that.
    pub fn id_of<T: TryFrom<Uuid>>(&self, what: &str, text: &str) -> Result<(T, bool), T::Error> {
        match Uuid::try_parse(text.trim()) {
            Ok(id) if !id.is_nil() => Ok((T::try_from(id)?, true)),
            _ => Ok((T::try_from(Uuid::new_v5(&self.namespace, format!("{what} {text}").as_bytes()))?, false)),
        }
    }

    /// Tells an event that the row says, of the run or of one of its steps; returns whether it was taken. If it is the
    /// only one of its row, the row is rejected with it.
    pub fn tell<T: EventData>(
        &mut self,
        row: &Row,
        step_id: Option<StepId>,
        at: DateTime<Utc>,
        payload: &T,
        is_only: bool,
    ) -> anyhow::Result<bool> {
        let event = Event::new(self.org_id, self.run_id.subject(), self.target.source(), payload)?;
        let is_taken = self.take(row, Event { occurred_at: events::time::cut(at), ..event }, is_only)?;
        if is_taken {
            for of in [None, step_id] {
                let earliest = self.earliest.entry(of).or_insert(at);
                *earliest = at.min(*earliest);
            }
        }
        Ok(is_taken)
    }

    /// Tells what no read model has a place for: it stays in the ledger.
    pub fn tell_custom(
        &mut self,
        row: &Row,
        event_type: &str,
        at: DateTime<Utc>,
        data: &Object,
    ) -> anyhow::Result<bool> {
        let event = Event {
            org_id: self.org_id,
            event_id: EventId::generate(),
            event_type: event_type.to_owned(),
            schema_version: 1,
            subject_id: self.run_id.subject(),
            source: self.target.source(),
            occurred_at: events::time::cut(at),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            extensions: None,
            data: serde_json::to_string(data)?.into(),
        };
        self.take(row, event, true)
    }

    fn take(&mut self, row: &Row, mut event: Event, is_only: bool) -> anyhow::Result<bool> {
        if let Err(Refusal { code, reason }) = seal(row, &mut event, self.target.now)? {
            let part = (!is_only).then(|| event.event_type.clone());
            let reject = row.reject(code.as_str(), format!("{}: {reason}", event.event_type));
            self.rejects.push(Reject { part, ..reject });
            return Ok(false);
        }
        self.tables.push((event.event_id, row.table.name));
        self.events.push(event);
        Ok(true)
    }

    /// Notes what becomes of a value; the reason counts where old and new differ.
    pub fn value(&mut self, row: &Row, column: &str, place: Place, old: Json, new: Json, reason: &'static str) {
        let reason = (old != new).then_some(reason);
        let (table, key, column) = (row.table.name, row.key(), column.to_owned());
        self.values.push(Value { table, key, column, place, old, new, reason });
    }

    /// When the read model will have it that the run, or a step, was made.
    pub fn earliest(&self, step_id: Option<StepId>) -> Json {
        time(self.earliest.get(&step_id).copied())
    }

    /// All that was told, counted and in the order of time. What was told twice alike is one event, and counts once.
    pub fn finish(mut self) -> Translated {
        let mut told = HashSet::new();
        self.events.retain(|event| told.insert(event.event_id));
        self.events.sort_by_key(|event| (event.occurred_at, place(&event.event_type)));
        let import_id = self.target.import_id(self.org_id);
        let mut sequence = 0;
        for event in &mut self.events {
            event.extensions = Some(json!({ "importid": import_id }).to_string());
            // The folds count what is of the run; other families are not theirs.
            if !event.event_type.starts_with("custom.") {
                sequence += 1;
                event.set_sequence(sequence);
            }
        }
        let Self { org_id, run_id, events, values, rejects, tables, .. } = self;
        Translated { run: Some((org_id, run_id)), events, values, rejects, tables }
    }
}

/// Gives the event an id by the row's key and by all that it says, if the door has nothing against it.
pub fn seal(row: &Row, event: &mut Event, now: DateTime<Utc>) -> anyhow::Result<Result<(), Refusal>> {
    let (table, key, at) = (row.table.name, row.key(), events::time::format(event.occurred_at));
    let said = format!("{table} {key} {} {at} {}", event.event_type, event.data);
    event.event_id = Uuid::new_v5(&namespace_of(event.subject_id), said.as_bytes()).try_into()?;
    Ok(refusal(event, now).map_or(Ok(()), Err))
}

/// Which of the events of one moment comes first, for those who read them in order.
fn place(event_type: &str) -> u8 {
    match event_type.split_once('.') {
        Some((_, "created")) => 0,
        Some((_, "started" | "retried")) => 1,
        Some((_, "completed" | "failed" | "cancelled" | "timed_out" | "skipped")) => 3,
        _ => 2,
    }
}

fn namespace_of(subject_id: SubjectId) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, subject_id.to_string().as_bytes())
}

/// What the door has against the event.
fn refusal(event: &Event, now: DateTime<Utc>) -> Option<Refusal> {
    if event.data.len() > EVENT_BYTES_MAX {
        let reason = format!("it has {} bytes, more than {EVENT_BYTES_MAX}", event.data.len());
        return Some(Refusal::new(Code::TooComplex, reason));
    }
    let (subject, headers) = (wire::subject(event), wire::to_headers(event));
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let message = Message { subject: subject.as_bytes(), headers, payload: event.data.as_bytes().clone() };
    wire::admit(&message, now).err()
}

/// A time as JSON, null for none.
pub fn time(time: Option<DateTime<Utc>>) -> Json {
    time.map_or(Json::Null, |time| events::time::format(time).into())
}

/// A payload's JSON as a value to compare; null for none.
pub fn value_of(json: Option<&events::payload::value::Json>) -> Json {
    json.and_then(|json| serde_json::from_str(json.as_str()).ok()).unwrap_or_default()
}

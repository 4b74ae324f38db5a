//! The events that everything is measured with: 20 orgs; runs of 20 events and 8 steps, 200 of them at a time; payloads
//! of 857 bytes on average, each of its own size.
//!
//! An event follows from its number alone, ids and times included, so the backlog in the stream and the rows of a
//! limit are the same events.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event, EventData,
    id::{OrgId, RunId, StepId},
    payload::{
        OrgRegistered, RunAttributes, RunCompleted, RunContextAdded, RunCreated, RunStarted, StepCompleted,
        StepStarted,
        value::{Json, Object},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;
use uuid::{Builder, Uuid};

/// Orgs of the workload, unless it has another number.
pub const ORGS: u64 = 20;
/// Events of each run.
pub const EVENTS_PER_RUN: u64 = 20;
/// Runs go on side by side; after so many events all of them are told whole.
pub const EVENTS_PER_WAVE: u64 = RUNS_AT_A_TIME * EVENTS_PER_RUN;
/// Steps of each run: all its events but four are a start or an end of one.
pub const STEPS_PER_RUN: u64 = 8;
/// Runs that go on at the same time.
const RUNS_AT_A_TIME: u64 = 200;

/// What a payload's free text is filled up to, on average the size that peers were measured with.
const PAYLOAD_BYTES: std::ops::Range<usize> = 638..1_113;
const INTERVAL: TimeDelta = TimeDelta::microseconds(50);
const SOURCE: &str = "/portal-runner";
const WORDS: [&str; 24] = [
    "eligibility",
    "verified",
    "member",
    "plan",
    "active",
    "deductible",
    "remaining",
    "copay",
    "specialist",
    "office",
    "visit",
    "prior",
    "authorization",
    "required",
    "claim",
    "received",
    "pending",
    "review",
    "payer",
    "reference",
    "submitted",
    "portal",
    "screen",
    "confirmed",
];

/// A workload of so many events.
#[derive(Clone, Debug)]
pub struct Workload {
    start: DateTime<Utc>,
    orgs: Vec<OrgId>,
    events: u64,
    /// Nine of ten runs are the first org's.
    has_hot_org: bool,
}

impl Workload {
    /// Whole runs, the last of them cut off if `events` is no multiple of a run's. All of it lies in the past.
    pub fn new(events: u64) -> Result<Self> {
        Self::of_orgs(events, ORGS)
    }

    /// The same of another number of orgs.
    pub fn of_orgs(events: u64, orgs: u64) -> Result<Self> {
        let start = events::time::now() - INTERVAL * i32::try_from(events)? - TimeDelta::hours(1);
        let orgs = (0..orgs).map(|number| Ok(id(start, number, 'o').try_into()?)).collect::<Result<_>>()?;
        Ok(Self { start, orgs, events, has_hot_org: false })
    }

    /// The same with nine of ten runs in one org.
    pub fn with_hot_org(self) -> Self {
        Self { has_hot_org: true, ..self }
    }

    /// The orgs.
    pub fn orgs(&self) -> &[OrgId] {
        &self.orgs
    }

    /// How many events, without the registrations.
    pub fn len(&self) -> u64 {
        self.events
    }

    /// How many events the ledger holds when it has all.
    pub fn len_with_registrations(&self) -> u64 {
        self.events + self.orgs.len() as u64
    }

    /// What has to stand in the stream before everything else.
    pub fn registrations(&self) -> Result<Vec<Event>> {
        let registration = |(number, org_id): (usize, &OrgId)| {
            let name = format!("Hospital {number}");
            let registered = OrgRegistered { name: name.as_str().into(), org_type: None, settings: None };
            let mut event = Event::new(*org_id, org_id.subject(), SOURCE, &registered)?;
            event.occurred_at = self.start;
            event.event_id = id(self.start, number as u64, 'g').try_into()?;
            event.set_sequence(1);
            Ok(event)
        };
        self.orgs.iter().enumerate().map(registration).collect()
    }

    /// The events of runs and steps, in the order in which they happened.
    pub fn events(&self) -> impl Iterator<Item = Result<Event>> + use<> {
        let workload = self.clone();
        (0..self.events).map(move |number| workload.event(number))
    }

    /// Those of an org among the first `events`, where orgs take turns.
    pub fn events_of(&self, org: u64, events: u64) -> impl Iterator<Item = Result<Event>> + use<> {
        let workload = self.clone();
        let is_its = move |number: &u64| workload.org_of(run_of(*number)) == org;
        let workload = self.clone();
        (0..events).filter(is_its).map(move |number| workload.event(number))
    }

    /// Those from `first` on, up to the last.
    pub fn events_from(&self, first: u64) -> impl Iterator<Item = Result<Event>> + use<> {
        let workload = self.clone();
        (first..self.events).map(move |number| workload.event(number))
    }

    /// The place of a run's org.
    fn org_of(&self, run: u64) -> u64 {
        if self.has_hot_org && !run.is_multiple_of(10) { 0 } else { run % self.orgs.len() as u64 }
    }

    fn event(&self, number: u64) -> Result<Event> {
        let place = number / RUNS_AT_A_TIME % EVENTS_PER_RUN;
        let telling = Telling { workload: self, number, run: run_of(number), place };
        let mut text = Text::of(number);
        match place {
            0 => telling.tell(&telling.created(&mut text)?),
            1 => telling.tell(&RunStarted(RunAttributes {
                config_snapshot: Some(Object::of(&json!({ "retries_max": 3, "notes": text.fill(48) }))?),
                ..RunAttributes::default()
            })),
            18 => telling.tell(&RunContextAdded { context: Object::of(&json!({ "summary": text.fill(24) }))? }),
            19 => telling.tell(&RunCompleted {
                context: Some(Object::of(&json!({ "reference": telling.name("REF"), "note": text.fill(50) }))?),
            }),
            place if place % 2 == 0 => telling.tell(&telling.step_started(&mut text)?),
            _ => telling.tell(&StepCompleted {
                step_id: telling.step_id()?,
                attempt: 0,
                output_data: Some(Json::of(&json!({ "status": "ok", "screen": text.fill(110) }))?),
            }),
        }
    }
}

/// The run that an event is of.
fn run_of(number: u64) -> u64 {
    number / RUNS_AT_A_TIME / EVENTS_PER_RUN * RUNS_AT_A_TIME + number % RUNS_AT_A_TIME
}

/// An event about to be told: which run's, and the how manieth of it.
struct Telling<'w> {
    workload: &'w Workload,
    number: u64,
    run: u64,
    place: u64,
}

impl Telling<'_> {
    fn tell<T: EventData>(&self, payload: &T) -> Result<Event> {
        let org_id = self.workload.orgs[self.workload.org_of(self.run) as usize];
        let run_id = RunId::try_from(id(self.begun_at(), self.run, 'r'))?;
        let mut event = Event::new(org_id, run_id.subject(), SOURCE, payload)?;
        event.occurred_at = self.workload.start + INTERVAL * self.number as i32;
        event.event_id = id(event.occurred_at, self.number, 'e').try_into()?;
        event.correlation_id = Some(self.name("ELG"));
        event.set_sequence(self.place as i64 + 1);
        Ok(event)
    }

    /// A name for the run that people would use.
    fn name(&self, prefix: &str) -> String {
        format!("{prefix}-{:08}", self.run)
    }

    fn begun_at(&self) -> DateTime<Utc> {
        let wave = self.run / RUNS_AT_A_TIME;
        let first = wave * RUNS_AT_A_TIME * EVENTS_PER_RUN + self.run % RUNS_AT_A_TIME;
        self.workload.start + INTERVAL * first as i32
    }

    fn created(&self, text: &mut Text) -> Result<RunCreated> {
        Ok(RunCreated(RunAttributes {
            workflow_id: Some(Uuid::from_u128(0x7be1 + u128::from(self.run % 7)).try_into()?),
            workflow_revision: Some(3),
            channel: Some("web".try_into()?),
            external_id: Some(self.name("ELG").as_str().try_into()?),
            context: Some(Object::of(&json!({ "payer": "Meridian Health Plan", "notes": text.fill(230) }))?),
            ..RunAttributes::default()
        }))
    }

    /// Which of the run's steps, from 0.
    fn step(&self) -> u64 {
        (self.place - 2) / 2
    }

    fn step_id(&self) -> Result<StepId> {
        Ok(id(self.begun_at(), self.run * STEPS_PER_RUN + self.step(), 's').try_into()?)
    }

    fn step_started(&self, text: &mut Text) -> Result<StepStarted> {
        Ok(StepStarted {
            step_id: self.step_id()?,
            attempt: 0,
            node_id: Some(Uuid::from_u128(0x40de + u128::from(self.step())).try_into()?),
            step_number: Some(self.step() as i32 + 1),
            input_data: Some(Json::of(&json!({ "member_id": self.name("MHP"), "form": text.fill(210) }))?),
            metadata: None,
        })
    }
}

/// Words, so many that the payload has its size.
struct Text {
    chance: StdRng,
    bytes: usize,
}

impl Text {
    fn of(number: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(number);
        let bytes = chance.random_range(PAYLOAD_BYTES);
        Self { chance, bytes }
    }

    /// Text for a payload that has about so many bytes without it.
    fn fill(&mut self, others: usize) -> String {
        let bytes = self.bytes - others;
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(WORDS.choose(&mut self.chance).unwrap_or(&WORDS[0]));
            text.push(' ');
        }
        text.truncate(bytes);
        text
    }
}

/// A UUIDv7 of that time, as emitters make them, that follows from a number.
fn id(at: DateTime<Utc>, number: u64, kind: char) -> Uuid {
    let seed = number ^ (at.timestamp_micros() as u64).rotate_left(32) ^ u64::from(kind) << 56;
    let random: [u8; 10] = StdRng::seed_from_u64(seed).random();
    Builder::from_unix_timestamp_millis(at.timestamp_millis() as u64, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn told(events: u64) -> Vec<Event> {
        Workload::new(events).unwrap().events().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn payloads_have_the_size_that_peers_were_measured_with() {
        let events = told(8_000);
        let bytes: usize = events.iter().map(|event| event.data.len()).sum();
        let mean = bytes / events.len();
        assert!((847..=867).contains(&mean), "{mean} bytes on average");
    }

    #[test]
    fn every_run_has_its_events_and_steps_and_ends_well() {
        let mut runs: HashMap<_, Vec<Event>> = HashMap::new();
        for event in told(8_000) {
            runs.entry((event.org_id, event.subject_id)).or_default().push(event);
        }
        assert_eq!(runs.len() as u64, 8_000 / EVENTS_PER_RUN);
        for events in runs.values() {
            assert_eq!(events.len() as u64, EVENTS_PER_RUN);
            assert_eq!(events[19].event_type, "run.completed");
            let sequences: Vec<_> = events.iter().filter_map(Event::sequence).collect();
            assert!(sequences.into_iter().eq(1..=EVENTS_PER_RUN as i64));
            let steps: HashSet<_> = events
                .iter()
                .filter_map(|event| {
                    serde_json::from_str::<serde_json::Value>(&event.data).unwrap().get("step_id").cloned()
                })
                .collect();
            assert_eq!(steps.len() as u64, STEPS_PER_RUN);
        }
    }

    #[test]
    fn an_event_follows_from_its_number() {
        let workload = Workload::new(4_000).unwrap();
        let ids: HashSet<_> = workload.events().map(|event| event.unwrap().event_id).collect();
        assert_eq!(ids.len(), 4_000);
        assert_eq!(workload.event(77).unwrap(), workload.event(77).unwrap());
    }
}

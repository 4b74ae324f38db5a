//! A whole case as the events of a run.
//!
//! Every id is derived from what the log says, and an event's id from all that the event says: the
//! same log gives the same events, and a log that has changed gives new ones and never a conflict.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    str::FromStr,
};

use chrono::{DateTime, Utc};
use events::{
    Event, EventData,
    id::{EventId, NodeId, OrgId, RunId, StepId, SubjectId},
    payload::{
        OrgRegistered, RunAttributes, RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut, StepCompleted,
        StepCreated, StepEventLogged, StepFailed, StepSkipped, StepStarted,
        value::{INDEXED_BYTES_MAX, Json, Object},
    },
};
use serde_json::json;
use uuid::Uuid;

use super::line::{Line, Transition};

const NAMESPACE: Uuid = Uuid::from_u128(0x3d1b_77c0_9a52_5e0f_b6d4_21ce_80f3_a94d);
const SOURCE: &str = "/import/event-log";

/// How a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl FromStr for Ending {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "completed" => Ok(Self::Completed),
            "failed" => Ok(Self::Failed),
            "cancelled" => Ok(Self::Cancelled),
            "timeout" => Ok(Self::TimedOut),
            _ => Err(format!("{text:?} is no way to end; give completed, failed, cancelled or timeout")),
        }
    }
}

const COMPLETED: &[&str] = &["billed", "paid", "completed", "complete", "closed", "end", "finished"];
const CANCELLED: &[&str] = &["delete", "deleted", "cancel", "cancelled", "canceled", "withdrawn"];
const FAILED: &[&str] = &["failed"];

/// Which activity, as a case's last one, ends it. Whatever is not among them leaves the run running.
#[derive(Clone, Debug)]
pub struct Endings(HashMap<String, Ending>);

impl Endings {
    /// The usual ones, and these before them. Activities are compared without regard to case.
    pub fn usual_and(given: impl IntoIterator<Item = (String, Ending)>) -> Self {
        let usual = [(COMPLETED, Ending::Completed), (CANCELLED, Ending::Cancelled), (FAILED, Ending::Failed)];
        let usual =
            usual.into_iter().flat_map(|(names, ending)| names.iter().map(move |name| ((*name).to_owned(), ending)));
        Self(usual.chain(given.into_iter().map(|(name, ending)| (name.to_lowercase(), ending))).collect())
    }

    fn of(&self, activity: &str) -> Option<Ending> {
        self.0.get(&activity.trim().to_lowercase()).copied()
    }
}

/// Where the runs go.
#[derive(Clone, Debug)]
pub struct Target {
    pub org_id: OrgId,
    pub import_id: Uuid,
    pub endings: Endings,
}

impl Target {
    /// The org that an import of this name goes to.
    pub fn org_of(name: &str) -> anyhow::Result<OrgId> {
        Ok(Uuid::new_v5(&NAMESPACE, format!("org {name}").as_bytes()).try_into()?)
    }

    /// The import's id: the same for the same org and lines.
    pub fn import_id(org_id: OrgId, digest: Uuid) -> Uuid {
        Uuid::new_v5(&org_id.uuid(), format!("import {digest}").as_bytes())
    }

    /// The event that makes the org known, at the time of the log's first line.
    pub fn registration(&self, name: &str, at: DateTime<Utc>) -> anyhow::Result<Event> {
        let registered = OrgRegistered { name: name.into(), org_type: None, settings: None };
        self.event(self.org_id.subject(), at, 1, &registered)
    }

    fn id<T: TryFrom<Uuid>>(&self, name: &str) -> Result<T, T::Error> {
        T::try_from(Uuid::new_v5(&self.org_id.uuid(), name.as_bytes()))
    }

    fn event<T: EventData>(
        &self,
        subject: SubjectId,
        at: DateTime<Utc>,
        sequence: i64,
        payload: &T,
    ) -> anyhow::Result<Event> {
        let mut event = Event::new(self.org_id, subject, SOURCE, payload)?;
        event.occurred_at = at;
        let said = format!("{} {} {}", event.event_type, events::time::format(at), event.data);
        event.event_id = EventId::try_from(Uuid::new_v5(&subject_namespace(self.org_id, subject), said.as_bytes()))?;
        event.extensions =
            Some(json!({ "importid": self.import_id, "sequence": format!("{sequence:010}") }).to_string());
        Ok(event)
    }
}

fn subject_namespace(org_id: OrgId, subject: SubjectId) -> Uuid {
    Uuid::new_v5(&org_id.uuid(), subject.to_string().as_bytes())
}

/// The events of the run that a case is.
pub struct Run<'a> {
    target: &'a Target,
    run_id: RunId,
    events: Vec<Event>,
    steps: i32,
    /// Steps that have begun or been planned and not ended, by activity.
    open: HashMap<String, VecDeque<OpenStep>>,
    /// How often each line occurred.
    occurrences: HashMap<String, u32>,
    /// How often each event was told.
    told: HashMap<EventId, u32>,
}

struct OpenStep {
    step_id: StepId,
    is_started: bool,
}

impl<'a> Run<'a> {
    /// The events of this case; it has at least one line.
    pub fn events_of(target: &'a Target, case: &str, mut lines: Vec<Line>) -> anyhow::Result<Vec<Event>> {
        lines.sort_by_key(|line| (line.time, line.number));
        let run_id = target.id(&format!("case {case}"))?;
        let (events, open, occurrences, told) = (Vec::new(), HashMap::new(), HashMap::new(), HashMap::new());
        let mut run = Self { target, run_id, events, steps: 0, open, occurrences, told };
        run.start(case, &lines)?;
        for line in &lines {
            run.take(line)?;
        }
        run.end(&lines)?;
        Ok(run.events)
    }

    fn tell<T: EventData>(&mut self, at: DateTime<Utc>, payload: &T) -> anyhow::Result<()> {
        let sequence = self.events.len() as i64 + 1;
        let mut event = self.target.event(self.run_id.subject(), at, sequence, payload)?;
        // Lines that say the same are as many events.
        let told = self.told.entry(event.event_id).or_default();
        if *told > 0 {
            event.event_id = EventId::try_from(Uuid::new_v5(&event.event_id.uuid(), told.to_string().as_bytes()))?;
        }
        *told += 1;
        self.events.push(event);
        Ok(())
    }

    fn start(&mut self, case: &str, lines: &[Line]) -> anyhow::Result<()> {
        let Some(first) = lines.first() else { anyhow::bail!("case {case} has no lines") };
        let context = agreed(lines);
        let attributes = RunAttributes {
            external_id: Some(case.try_into()?),
            context: Some(Object::of(&context)?),
            ..RunAttributes::default()
        };
        self.tell(first.time, &RunStarted(attributes))
    }

    fn take(&mut self, line: &Line) -> anyhow::Result<()> {
        let at = line.time;
        match line.transition {
            Transition::Start => {
                let step_id = self.step_to_start(line)?;
                let started = StepStarted {
                    step_id,
                    attempt: 0,
                    node_id: None,
                    step_number: None,
                    input_data: None,
                    metadata: None,
                };
                self.tell(at, &started)?;
                self.leave_open(line, step_id, true);
            }
            Transition::Complete => {
                let step_id = self.step_to_end(line)?;
                self.tell(at, &StepCompleted { step_id, attempt: 0, output_data: None })?;
            }
            Transition::Abort => {
                let step_id = self.step_to_end(line)?;
                let message = format!("{} of {}", line.status, line.activity);
                let details = Some(Json::of(&line.attributes)?);
                self.tell(
                    at,
                    &StepFailed { step_id, attempt: 0, error_message: message.into(), error_details: details },
                )?;
            }
            Transition::Skip => {
                let step_id = self.step_to_end(line)?;
                let reason = Some(line.status.as_str().into());
                self.tell(at, &StepSkipped { step_id, attempt: 0, reason })?;
            }
            Transition::Note => self.note(line)?,
        }
        Ok(())
    }

    fn note(&mut self, line: &Line) -> anyhow::Result<()> {
        let open = self.open.get(&line.activity).and_then(|steps| steps.front());
        let step_id = match open.map(|step| step.step_id) {
            Some(step_id) => step_id,
            None => {
                let step_id = self.new_step(line)?;
                self.leave_open(line, step_id, false);
                step_id
            }
        };
        let event = Object::of(&json!({ "transition": line.status, "resource": line.resource }))?;
        self.tell(line.time, &StepEventLogged { step_id, event })
    }

    /// A step of the line's activity that is planned but not started, or a new one.
    fn step_to_start(&mut self, line: &Line) -> anyhow::Result<StepId> {
        let steps = self.open.entry(line.activity.clone()).or_default();
        let planned = steps.iter().position(|step| !step.is_started).and_then(|place| steps.remove(place));
        planned.map_or_else(|| self.new_step(line), |step| Ok(step.step_id))
    }

    /// The step of the line's activity that has been open for longest, or a new one.
    fn step_to_end(&mut self, line: &Line) -> anyhow::Result<StepId> {
        let open = self.open.get_mut(&line.activity).and_then(VecDeque::pop_front);
        open.map_or_else(|| self.new_step(line), |step| Ok(step.step_id))
    }

    fn leave_open(&mut self, line: &Line, step_id: StepId, is_started: bool) {
        self.open.entry(line.activity.clone()).or_default().push_back(OpenStep { step_id, is_started });
    }

    fn new_step(&mut self, line: &Line) -> anyhow::Result<StepId> {
        let said = line.said();
        let occurrence = self.occurrences.entry(said.clone()).or_default();
        *occurrence += 1;
        let step_id = self.target.id::<StepId>(&format!("step {said} {occurrence}"))?;
        self.steps += 1;
        let mut metadata: BTreeMap<&str, &str> =
            line.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        metadata.extend(line.resource.as_deref().map(|resource| ("resource", resource)));
        metadata.insert("activity", &line.activity);
        let created = StepCreated {
            step_id,
            node_id: Some(self.target.id::<NodeId>(&format!("activity {}", line.activity))?),
            step_number: Some(self.steps),
            metadata: Some(Object::of(&metadata)?),
            legacy_step_id: None,
        };
        self.tell(line.time, &created)?;
        Ok(step_id)
    }

    fn end(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        let Some(last) = lines.last() else { return Ok(()) };
        let (at, words) = (last.time, format!("the case ended with {}", last.activity));
        match self.target.endings.of(&last.activity) {
            None => Ok(()),
            Some(_) if last.transition == Transition::Start || last.transition == Transition::Note => Ok(()),
            Some(Ending::Completed) => self.tell(at, &RunCompleted::default()),
            Some(Ending::Cancelled) => self.tell(at, &RunCancelled { reason: Some(words.into()), cancelled_by: None }),
            Some(Ending::Failed) => self.tell(at, &RunFailed { error_message: words.into(), error_details: None }),
            Some(Ending::TimedOut) => self.tell(at, &RunTimedOut { error_message: words.into(), error_details: None }),
        }
    }
}

/// What all lines that say it agree on: that is about the case and not about a step of it.
fn agreed(lines: &[Line]) -> BTreeMap<&str, &str> {
    let mut said: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (name, value) in lines.iter().flat_map(|line| &line.attributes) {
        let agreed = said.entry(name).or_insert(Some(value));
        *agreed = agreed.filter(|other| other == value);
    }
    let agreed =
        said.into_iter().filter_map(|(name, value)| Some((name.strip_prefix("case:").unwrap_or(name), value?)));
    agreed.filter(|(_, value)| value.len() <= INDEXED_BYTES_MAX).collect()
}

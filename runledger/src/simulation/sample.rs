//! A small sample that is the same every time: two orgs with all that belongs to them, a batch each, and a run for
//! every way in which runs end or do not. For trying runledger out and for work on pages that show it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Event,
    id::{EventId, OrgId, PayerId, RunId, TaskTypeId, WorkflowId},
};

use super::{
    Org, Scenario, Simulation,
    batch::Batches,
    catalogue, definition,
    matter::Matter,
    requirement,
    run::{Ending, Plot},
    workflow::{Channel, WORKFLOWS},
};

/// Monday, 2 June 2025, 13:00 UTC.
const START: DateTime<Utc> = match DateTime::from_timestamp(1_748_869_200, 0) {
    Some(start) => start,
    None => DateTime::UNIX_EPOCH,
};
/// Chosen so that there are retries.
const SEED: u64 = 6;

/// A run: how many minutes after the start it begins, which workflow it follows, over what, and how it ends.
type Planned = (i64, usize, Channel, Ending);

/// Of the first org, within an hour, so that they come in one batch.
const FIRST: &[Planned] = &[
    (2, 0, Channel::Web, Ending::Completed),
    (6, 1, Channel::Web, Ending::Failed(3)),
    (11, 2, Channel::Efax, Ending::Completed),
    (17, 0, Channel::Voice, Ending::Completed),
    (23, 2, Channel::Web, Ending::Cancelled(4)),
    (29, 1, Channel::Voice, Ending::TimedOut(3)),
    (34, 0, Channel::Web, Ending::Completed),
    (41, 2, Channel::Efax, Ending::Failed(4)),
    (47, 1, Channel::Web, Ending::Completed),
];
/// Of the other, an hour later, in a batch that is under way.
const SECOND: &[Planned] = &[
    (63, 1, Channel::Web, Ending::Completed),
    (66, 0, Channel::Efax, Ending::Failed(2)),
    (70, 0, Channel::Web, Ending::Open(2)),
    (74, 2, Channel::Voice, Ending::Open(4)),
    (79, 1, Channel::Web, Ending::Waiting),
    (80, 0, Channel::Voice, Ending::Waiting),
];

/// The sample.
pub struct Sample {
    pub orgs: Vec<Org>,
    /// In an order in which they may have arrived.
    pub events: Vec<Event>,
    /// How many runs they are about.
    pub runs: usize,
    /// A kind of task of the first org, and a payer, that have rules on what has to be known.
    pub rules_for: (TaskTypeId, PayerId),
}

impl Sample {
    /// The sample.
    pub fn make() -> anyhow::Result<Self> {
        let runs = FIRST.len() + SECOND.len();
        let simulation = Simulation::new(Scenario {
            seed: SEED,
            start: START,
            orgs: 2,
            runs: runs as u32,
            refused: 0,
            portal: false,
        })?;
        let mut events = Vec::new();
        for org in simulation.orgs() {
            events.extend_from_slice(org.registrations());
            events.extend(catalogue::of_org(&simulation, org)?);
            events.extend(requirement::of_org(&simulation, org)?);
            events.extend(definition::of_org(&simulation, org)?);
        }
        let mut of_runs = tell_runs(&simulation)?;
        of_runs.sort_by_key(|event| event.occurred_at);
        events.append(&mut of_runs);
        let rules_for =
            (catalogue::task_type_id(&simulation, &simulation.orgs[0], requirement::TASK)?, requirement::payer()?);
        Ok(Self { orgs: simulation.orgs, events, runs, rules_for })
    }

    /// The ids of its events, org by org; the shared org is among them.
    pub fn event_ids(&self) -> BTreeMap<OrgId, Vec<EventId>> {
        let mut ids: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in &self.events {
            ids.entry(event.org_id).or_default().push(event.event_id);
        }
        ids
    }

    /// A run that failed over a portal, which has most to show.
    pub fn failed_run(&self) -> Option<RunId> {
        let failed = self.events.iter().find(|event| event.event_type == "run.failed");
        failed.map(|event| RunId::of_subject(event.subject_id))
    }

    /// A run that asked for a prior authorisation, which has requirements.
    pub fn authorisation(&self) -> Option<RunId> {
        let is_one = |event: &&Event| event.event_type == "run.created" && event.data.contains(WORKFLOWS[2].prefix);
        self.events.iter().find(is_one).map(|event| RunId::of_subject(event.subject_id))
    }

    /// A workflow with two revisions, and the earlier one.
    pub fn revised_workflow(&self) -> anyhow::Result<(WorkflowId, i32)> {
        Ok((WORKFLOWS[0].id()?, WORKFLOWS[0].revision - 1))
    }
}

/// The runs, and what they mean to their batches.
fn tell_runs(simulation: &Simulation) -> anyhow::Result<Vec<Event>> {
    let mut batches = Batches::of(simulation);
    let mut events = Vec::new();
    let planned = simulation.orgs().iter().zip([FIRST, SECOND]);
    let planned = planned.flat_map(|(org, runs)| runs.iter().map(move |run| (org, *run)));
    for (number, (org, (minutes, workflow, channel, ending))) in (0..).zip(planned) {
        let mut rng = simulation.chance(&format!("run {number}"));
        let matter = Matter::draw(&mut rng);
        let begin = START + TimeDelta::minutes(minutes);
        let plot = Plot { org, workflow: &WORKFLOWS[workflow], channel, matter, ending, begin };
        let run = plot.tell(simulation, number, rng)?;
        events.extend(batches.tell(&run)?);
        events.extend(run);
    }
    Ok(events)
}

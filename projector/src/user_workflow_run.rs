//! Runs and their steps: `user_workflow_run` and `user_workflow_run_step`.
//!
//! One state holds a run and all of its steps, because a run's times and flags come from the events
//! of its steps too. Only what has changed since the last time becomes rows, so a run of 100,000
//! events costs each batch what is new in it.
//!
//! A run that is retracted has no rows, and neither have its steps; its state is kept up to date all
//! the same, so that a reinstatement brings back what is then the fold of its events. Its rows are tried
//! on PostgreSQL meanwhile, so that an event whose row is refused is parked when it comes and not in
//! the reinstatement's place. The two event types are about the record and not about the run: they
//! count as sent, and touch nothing else.

use std::collections::{BTreeSet, HashMap, HashSet};

use events::{
    catalogue::{self, Payload},
    id::{EventId, RunId, StepId},
};
use serde::Deserialize;
use sqlx::PgConnection;

use crate::{
    copy::Copy,
    fold::{Latest, Numbers, Sources, Stamp},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
};

#[cfg(test)]
pub(crate) mod any_order;
mod columns;
mod rows;
mod run;
mod step;
#[cfg(test)]
mod tests;

pub use rows::{Rows, RunRow, StepRow};
use run::Run;
use step::Step;

/// A run with its steps.
#[derive(Debug, Default)]
pub struct UserWorkflowRun {
    seen: HashSet<EventId>,
    sources: Sources,
    unfoldable: bool,
    run: Run,
    steps: HashMap<StepId, Step>,
    numbers: Numbers,
    /// Whether an event came since the last rows were taken, and to which steps.
    changed: bool,
    changed_steps: BTreeSet<StepId>,
    steps_weight: usize,
    /// Whether the run is off the record: of its retractions and reinstatements, the latest decides.
    retracted: Latest<bool>,
    /// Whether the tables lack it for that reason, as of the rows taken last.
    dropped: bool,
}

impl Projection for UserWorkflowRun {
    const NAME: &'static str = "user_workflow_run";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["user_workflow_run", "user_workflow_run_step"];
    const TYPES: &'static [&'static str] = &[
        "run.created",
        "run.started",
        "run.context_added",
        "run.endpoint_used",
        "run.completed",
        "run.failed",
        "run.cancelled",
        "run.timed_out",
        "run.retracted",
        "run.reinstated",
        "step.created",
        "step.started",
        "step.retried",
        "step.event_logged",
        "step.screenshot_captured",
        "step.completed",
        "step.failed",
        "step.skipped",
    ];
    // An emitter's `sequence` counts whatever it sends about the run.
    const FAMILIES: &'static [&'static str] = &[];
    type Rows = Rows;

    fn apply(&mut self, event: FoldEvent<'_>) {
        if !self.seen.insert(event.stamp.event_id) {
            return;
        }
        self.changed = true;
        self.sources.count(event.source, event.sequence);
        match event.content {
            Content::Payload(payload) => self.fold(event.stamp, *payload),
            Content::Unfoldable(_) => {
                self.unfoldable = true;
                if let Some(step_id) = step_id(event.event_type, event.data) {
                    self.step(step_id, Step::unfoldable);
                }
            }
            Content::Elsewhere => {}
        }
    }

    fn take_rows(&mut self, subject: Subject, lookups: &Lookups, rows: &mut Rows) -> usize {
        let run_id = RunId::of_subject(subject.subject_id);
        let is_retracted = self.is_retracted();
        let was_dropped = std::mem::replace(&mut self.dropped, is_retracted);
        if was_dropped && !is_retracted {
            self.changed = true;
            self.changed_steps.extend(self.steps.keys());
        }
        if is_retracted && !was_dropped {
            rows.retracted.push((subject.org_id, run_id));
        }
        let (runs, steps) = rows.of_run(is_retracted);
        let mut bytes = 0;
        if std::mem::take(&mut self.changed)
            && let Some(row) = self.run_row(subject, lookups)
        {
            bytes += row.weight();
            runs.push(row);
        }
        for step_id in std::mem::take(&mut self.changed_steps) {
            if let Some(row) = self.steps.get(&step_id).and_then(|step| step.row(subject.org_id, run_id, step_id)) {
                bytes += row.weight();
                steps.push(row);
            }
        }
        bytes
    }

    fn forget_changes(&mut self) {
        self.changed = false;
        self.changed_steps.clear();
        self.dropped = self.is_retracted();
    }

    fn copy(rows: &Rows) -> Vec<Copy> {
        rows.copy()
    }

    fn weight(&self) -> usize {
        const EVENT: usize = 32;
        let counts = self.sources.weight() + self.numbers.weight();
        size_of::<Self>() + self.seen.len() * EVENT + self.run.weight() + self.steps_weight + counts
    }

    async fn write(rows: &Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        rows.write(conn).await
    }
}

impl UserWorkflowRun {
    fn fold(&mut self, stamp: Stamp, payload: Payload) {
        use Payload::*;
        if !matches!(payload, RunRetracted(_) | RunReinstated(_)) {
            self.run.include(stamp);
        }
        match payload {
            RunRetracted(_) => self.retracted.offer(stamp, true),
            RunReinstated(_) => self.retracted.offer(stamp, false),
            RunCreated(sent) => self.run.created(stamp, sent),
            RunStarted(sent) => self.run.started(stamp, sent),
            RunContextAdded(sent) => self.run.context_added(stamp, sent),
            RunEndpointUsed(sent) => self.run.endpoint_used(stamp, sent),
            RunCompleted(sent) => self.run.completed(stamp, sent),
            RunFailed(sent) => self.run.failed(stamp, sent),
            RunCancelled(sent) => self.run.cancelled(stamp, sent),
            RunTimedOut(sent) => self.run.timed_out(stamp, sent),
            StepCreated(sent) => self.fold_step(stamp, sent.step_id, |step| step.created(stamp, sent)),
            StepStarted(sent) => self.fold_step(stamp, sent.step_id, |step| step.started(stamp, sent)),
            StepRetried(sent) => self.fold_step(stamp, sent.step_id, |step| step.retried(stamp, sent)),
            StepEventLogged(sent) => self.fold_step(stamp, sent.step_id, |step| step.event_logged(stamp, sent)),
            StepScreenshotCaptured(sent) => {
                self.fold_step(stamp, sent.step_id, |step| step.screenshot_captured(stamp, sent))
            }
            StepCompleted(sent) => self.fold_step(stamp, sent.step_id, |step| step.completed(stamp, sent)),
            StepFailed(sent) => self.fold_step(stamp, sent.step_id, |step| step.failed(stamp, sent)),
            StepSkipped(sent) => self.fold_step(stamp, sent.step_id, |step| step.skipped(stamp, sent)),
            // The families of other projections, which never get here: see `TYPES`.
            _ => {}
        }
    }

    fn fold_step(&mut self, stamp: Stamp, step_id: StepId, fold: impl FnOnce(&mut Step)) {
        self.step(step_id, |step| {
            step.include(stamp);
            fold(step);
        });
    }

    fn step(&mut self, step_id: StepId, change: impl FnOnce(&mut Step)) {
        let mut added = 0;
        let step = self.steps.entry(step_id).or_insert_with(|| {
            added = size_of::<Step>() + 64;
            Step::default()
        });
        let (number, weight) = (step.number(), step.weight());
        change(step);
        self.steps_weight = self.steps_weight + added + step.weight() - weight;
        self.numbers.change(number, step.number());
        self.changed_steps.insert(step_id);
    }

    fn is_retracted(&self) -> bool {
        self.retracted.get().is_some_and(|is_retracted| *is_retracted)
    }

    fn run_row(&self, subject: Subject, lookups: &Lookups) -> Option<RunRow> {
        let mut row = self.run.row(subject.org_id, RunId::of_subject(subject.subject_id), lookups)?;
        let odd = [
            ("step_number_reused", self.numbers.reused()),
            ("unfoldable_event", self.unfoldable),
            ("events_missing", self.sources.events_missing()),
        ];
        row.flags.extend(odd.into_iter().filter_map(|(flag, is_so)| is_so.then_some(flag)));
        Some(row)
    }
}

/// The step that an event of the step family is about, though nothing else in it may be of use.
fn step_id(event_type: &str, data: &str) -> Option<StepId> {
    #[derive(Deserialize)]
    struct Named {
        step_id: StepId,
    }
    let is_of_a_step = catalogue::family(event_type) == "step";
    serde_json::from_str::<Named>(data).ok().filter(|_| is_of_a_step).map(|named| named.step_id)
}

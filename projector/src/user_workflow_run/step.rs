use events::{
    id::{NodeId, OrgId, RunId, StepId},
    payload::{
        StepCompleted, StepCreated, StepEventLogged, StepFailed, StepRetried, StepScreenshotCaptured, StepSkipped,
        StepStarted, value::Json,
    },
};

use super::StepRow;
use crate::fold::{Greatest, Latest, Lifecycle, List, Outcome, Stamp, Status, object};

/// What the events of a step say about it.
#[derive(Debug, Default)]
pub struct Step {
    lifecycle: Lifecycle,
    retry_count: i32,
    node_id: Latest<NodeId>,
    step_number: Latest<i32>,
    /// Of the latest start of the latest attempt, also where that start has none.
    input_data: Greatest<(i32, Stamp), Option<Json>>,
    metadata: Latest<String>,
    legacy_step_id: Latest<i64>,
    screenshots: List,
    events: List,
    unfoldable: bool,
}

impl Step {
    /// Notes an event of the step that cannot be folded.
    pub fn unfoldable(&mut self) {
        self.unfoldable = true;
    }

    /// Every event of the step that can be folded passes here first.
    pub fn include(&mut self, stamp: Stamp) {
        self.lifecycle.include(stamp.time);
    }

    pub fn created(&mut self, stamp: Stamp, sent: StepCreated) {
        self.node_id.offer_some(stamp, sent.node_id);
        self.step_number.offer_some(stamp, sent.step_number);
        self.metadata.offer_some(stamp, sent.metadata.as_ref().map(object::to_json));
        self.legacy_step_id.offer_some(stamp, sent.legacy_step_id);
        self.record(0, stamp, Outcome { status: Status::Pending, ..Outcome::default() });
    }

    pub fn started(&mut self, stamp: Stamp, sent: StepStarted) {
        self.node_id.offer_some(stamp, sent.node_id);
        self.step_number.offer_some(stamp, sent.step_number);
        self.metadata.offer_some(stamp, sent.metadata.as_ref().map(object::to_json));
        self.input_data.offer((sent.attempt, stamp), sent.input_data);
        self.record(sent.attempt, stamp, Outcome { status: Status::Running, ..Outcome::default() });
    }

    pub fn retried(&mut self, stamp: Stamp, sent: StepRetried) {
        let error_message = sent.error_message.map(String::from);
        self.record(sent.attempt, stamp, Outcome { status: Status::Pending, error_message, ..Outcome::default() });
    }

    pub fn event_logged(&mut self, stamp: Stamp, sent: StepEventLogged) {
        self.events.add(stamp, &sent.event);
    }

    pub fn screenshot_captured(&mut self, stamp: Stamp, sent: StepScreenshotCaptured) {
        self.screenshots.add_all(stamp, &sent.screenshots);
    }

    pub fn completed(&mut self, stamp: Stamp, sent: StepCompleted) {
        let outcome = Outcome { status: Status::Completed, output_data: sent.output_data, ..Outcome::default() };
        self.record(sent.attempt, stamp, outcome);
    }

    pub fn failed(&mut self, stamp: Stamp, sent: StepFailed) {
        let error_message = Some(String::from(sent.error_message));
        let error_details = sent.error_details;
        let outcome = Outcome { status: Status::Failed, error_message, error_details, output_data: None };
        self.record(sent.attempt, stamp, outcome);
    }

    pub fn skipped(&mut self, stamp: Stamp, sent: StepSkipped) {
        let error_message = sent.reason.map(String::from);
        self.record(sent.attempt, stamp, Outcome { status: Status::Skipped, error_message, ..Outcome::default() });
    }

    fn record(&mut self, attempt: i32, stamp: Stamp, outcome: Outcome) {
        self.retry_count = self.retry_count.max(attempt);
        self.lifecycle.record(attempt, stamp, outcome);
    }

    /// Its place among the steps of its run.
    pub fn number(&self) -> Option<i32> {
        self.step_number.get().copied()
    }

    /// The step's row, once there is an event that it can be made of.
    pub fn row(&self, org_id: OrgId, run_id: RunId, step_id: StepId) -> Option<StepRow> {
        let (created_at, updated_at) = self.lifecycle.bounds()?;
        let Outcome { status, error_message, error_details, output_data } = self.lifecycle.outcome();
        let mut flags = self.lifecycle.flags();
        if self.screenshots.truncated() || self.events.truncated() {
            flags.insert("list_truncated");
        }
        if self.unfoldable {
            flags.insert("unfoldable_event");
        }
        Some(StepRow {
            org_id,
            run_id,
            step_id,
            node_id: self.node_id.get().copied(),
            step_number: self.number(),
            status,
            retry_count: self.retry_count,
            started_at: self.lifecycle.started_at(),
            ended_at: self.lifecycle.ended_at(),
            duration_ms: self.lifecycle.duration_ms(),
            input_data: self.input_data.get().cloned().flatten().map(|json| json.to_string()),
            output_data: output_data.map(|json| json.to_string()),
            screenshots: self.screenshots.to_json(),
            events: self.events.to_json(),
            error_message,
            error_details: error_details.map(|json| json.to_string()),
            metadata: self.metadata.get().cloned().unwrap_or_else(|| "{}".to_owned()),
            flags,
            created_at,
            updated_at,
            legacy_step_id: self.legacy_step_id.get().copied(),
        })
    }

    /// About how many bytes of memory this holds beside its own size.
    pub fn weight(&self) -> usize {
        let input_data = self.input_data.get().and_then(Option::as_ref).map_or(0, |json| json.as_str().len());
        let metadata = self.metadata.get().map_or(0, String::len);
        self.lifecycle.weight() + self.screenshots.weight() + self.events.weight() + input_data + metadata
    }
}

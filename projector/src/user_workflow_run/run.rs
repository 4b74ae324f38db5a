use events::{
    id::{OrgId, RunId, UserId, WorkflowId},
    payload::{
        RunAttributes, RunCancelled, RunCompleted, RunContextAdded, RunCreated, RunEndpointUsed, RunFailed, RunStarted,
        RunTimedOut,
        value::{Json, Text},
    },
};

use super::RunRow;
use crate::{
    fold::{Keyed, Latest, Lifecycle, List, Outcome, Stamp, Status, object},
    projection::Lookups,
};

/// What the events of a run itself say about it.
#[derive(Debug, Default)]
pub struct Run {
    lifecycle: Lifecycle,
    workflow_id: Latest<WorkflowId>,
    workflow_revision: Latest<i32>,
    parent_run_id: Latest<RunId>,
    channel: Latest<String>,
    external_id: Latest<String>,
    context: Keyed,
    config_snapshot: Latest<String>,
    created_by: Latest<UserId>,
    legacy_trace_id: Latest<i64>,
    endpoints_used: List,
}

impl Run {
    /// Every event of the run and of its steps passes here first.
    pub fn include(&mut self, stamp: Stamp) {
        self.lifecycle.include(stamp.time);
    }

    pub fn created(&mut self, stamp: Stamp, RunCreated(attributes): RunCreated) {
        self.know(stamp, attributes);
        self.record(stamp, Outcome { status: Status::Pending, ..Outcome::default() });
    }

    pub fn started(&mut self, stamp: Stamp, RunStarted(attributes): RunStarted) {
        self.know(stamp, attributes);
        self.record(stamp, Outcome { status: Status::Running, ..Outcome::default() });
    }

    pub fn context_added(&mut self, stamp: Stamp, sent: RunContextAdded) {
        self.context.offer(stamp, sent.context);
    }

    pub fn endpoint_used(&mut self, stamp: Stamp, sent: RunEndpointUsed) {
        self.endpoints_used.add(stamp, &sent.endpoint);
    }

    pub fn completed(&mut self, stamp: Stamp, sent: RunCompleted) {
        self.context.offer(stamp, sent.context.unwrap_or_default());
        self.record(stamp, Outcome { status: Status::Completed, ..Outcome::default() });
    }

    pub fn failed(&mut self, stamp: Stamp, sent: RunFailed) {
        self.ended_badly(stamp, Status::Failed, Some(sent.error_message), sent.error_details);
    }

    pub fn timed_out(&mut self, stamp: Stamp, sent: RunTimedOut) {
        self.ended_badly(stamp, Status::Timeout, Some(sent.error_message), sent.error_details);
    }

    pub fn cancelled(&mut self, stamp: Stamp, sent: RunCancelled) {
        self.ended_badly(stamp, Status::Cancelled, sent.reason, None);
    }

    fn ended_badly(&mut self, stamp: Stamp, status: Status, message: Option<Text>, error_details: Option<Json>) {
        let error_message = message.map(String::from);
        self.record(stamp, Outcome { status, error_message, error_details, output_data: None });
    }

    fn record(&mut self, stamp: Stamp, outcome: Outcome) {
        self.lifecycle.record(0, stamp, outcome);
    }

    fn know(&mut self, stamp: Stamp, attributes: RunAttributes) {
        self.workflow_id.offer_some(stamp, attributes.workflow_id);
        self.workflow_revision.offer_some(stamp, attributes.workflow_revision);
        self.parent_run_id.offer_some(stamp, attributes.parent_run_id);
        self.channel.offer_some(stamp, attributes.channel.map(|text| text.as_str().to_owned()));
        self.external_id.offer_some(stamp, attributes.external_id.map(|text| text.as_str().to_owned()));
        self.context.offer(stamp, attributes.context.unwrap_or_default());
        self.config_snapshot.offer_some(stamp, attributes.config_snapshot.as_ref().map(object::to_json));
        self.created_by.offer_some(stamp, attributes.created_by);
        self.legacy_trace_id.offer_some(stamp, attributes.legacy_trace_id);
    }

    /// The run's row, once there is an event that it can be made of.
    pub fn row(&self, org_id: OrgId, run_id: RunId, lookups: &Lookups) -> Option<RunRow> {
        let (created_at, updated_at) = self.lifecycle.bounds()?;
        let Outcome { status, error_message, error_details, .. } = self.lifecycle.outcome();
        let mut flags = self.lifecycle.flags();
        if self.channel.get().is_some_and(|channel| !lookups.knows_channel(org_id, channel)) {
            flags.insert("unknown_channel");
        }
        if self.endpoints_used.truncated() {
            flags.insert("list_truncated");
        }
        Some(RunRow {
            org_id,
            run_id,
            workflow_id: self.workflow_id.get().copied(),
            workflow_revision: self.workflow_revision.get().copied(),
            parent_run_id: self.parent_run_id.get().copied(),
            status,
            channel: self.channel.get().cloned(),
            external_id: self.external_id.get().cloned(),
            started_at: self.lifecycle.started_at(),
            ended_at: self.lifecycle.ended_at(),
            duration_ms: self.lifecycle.duration_ms(),
            context: self.context.to_json(),
            config_snapshot: self.config_snapshot.get().cloned().unwrap_or_else(|| "{}".to_owned()),
            endpoints_used: self.endpoints_used.to_json(),
            error_message,
            error_details: error_details.map(|json| json.to_string()),
            flags,
            created_by: self.created_by.get().copied(),
            created_at,
            updated_at,
            legacy_trace_id: self.legacy_trace_id.get().copied(),
        })
    }

    /// About how many bytes of memory this holds beside its own size.
    pub fn weight(&self) -> usize {
        let config_snapshot = self.config_snapshot.get().map_or(0, String::len);
        self.lifecycle.weight() + self.context.weight() + self.endpoints_used.weight() + config_snapshot
    }
}

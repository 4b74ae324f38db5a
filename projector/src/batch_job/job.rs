use events::{
    id::{BatchId, OrgId, UserId, WorkflowId},
    payload::{
        BatchAttributes, BatchCancelled, BatchFailed,
        value::{Json, Text},
    },
};

use super::{JobRow, totals::Totals};
use crate::fold::{Keyed, Latest, Lifecycle, Outcome, Stamp, Status};

/// What the events of a batch itself say about it.
#[derive(Debug, Default)]
pub struct Job {
    lifecycle: Lifecycle,
    name: Latest<String>,
    workflow_id: Latest<WorkflowId>,
    workflow_revision: Latest<i32>,
    external_id: Latest<String>,
    rows_expected: Latest<i32>,
    context: Keyed,
    submitted_by: Latest<UserId>,
}

impl Job {
    /// Every event of the batch and of its rows passes here first.
    pub fn include(&mut self, stamp: Stamp) {
        self.lifecycle.include(stamp.time);
    }

    pub fn submitted(&mut self, stamp: Stamp, attributes: BatchAttributes) {
        self.know(stamp, attributes);
        self.record(stamp, Status::Pending, None, None);
    }

    pub fn started(&mut self, stamp: Stamp, attributes: BatchAttributes) {
        self.know(stamp, attributes);
        self.record(stamp, Status::Running, None, None);
    }

    pub fn completed(&mut self, stamp: Stamp) {
        self.record(stamp, Status::Completed, None, None);
    }

    pub fn failed(&mut self, stamp: Stamp, sent: BatchFailed) {
        self.record(stamp, Status::Failed, Some(sent.error_message), sent.error_details);
    }

    pub fn cancelled(&mut self, stamp: Stamp, sent: BatchCancelled) {
        self.record(stamp, Status::Cancelled, sent.reason, None);
    }

    fn record(&mut self, stamp: Stamp, status: Status, message: Option<Text>, error_details: Option<Json>) {
        let error_message = message.map(String::from);
        self.lifecycle.record(0, stamp, Outcome { status, error_message, error_details, output_data: None });
    }

    fn know(&mut self, stamp: Stamp, attributes: BatchAttributes) {
        self.name.offer_some(stamp, attributes.name.map(String::from));
        self.workflow_id.offer_some(stamp, attributes.workflow_id);
        self.workflow_revision.offer_some(stamp, attributes.workflow_revision);
        self.external_id.offer_some(stamp, attributes.external_id.map(|text| text.as_str().to_owned()));
        self.rows_expected.offer_some(stamp, attributes.rows_expected);
        self.context.offer(stamp, attributes.context.unwrap_or_default());
        self.submitted_by.offer_some(stamp, attributes.submitted_by);
    }

    /// The batch's row, once there is an event that it can be made of.
    pub fn row(&self, org_id: OrgId, batch_id: BatchId, totals: Totals) -> Option<JobRow> {
        let (created_at, updated_at) = self.lifecycle.bounds()?;
        let Outcome { status, error_message, error_details, .. } = self.lifecycle.outcome();
        let rows_expected = self.rows_expected.get().copied();
        let mut flags = self.lifecycle.flags();
        if status == Status::Completed {
            let odd = [
                ("rows_missing", rows_expected.is_some_and(|expected| expected > totals.total())),
                ("rows_unfinished", totals.open() > 0),
            ];
            flags.extend(odd.into_iter().filter_map(|(flag, is_so)| is_so.then_some(flag)));
        }
        Some(JobRow {
            org_id,
            batch_id,
            name: self.name.get().cloned(),
            status,
            workflow_id: self.workflow_id.get().copied(),
            workflow_revision: self.workflow_revision.get().copied(),
            external_id: self.external_id.get().cloned(),
            rows_expected,
            totals,
            started_at: self.lifecycle.started_at(),
            ended_at: self.lifecycle.ended_at(),
            duration_ms: self.lifecycle.duration_ms(),
            context: self.context.to_json(),
            error_message,
            error_details: error_details.map(|json| json.to_string()),
            flags,
            submitted_by: self.submitted_by.get().copied(),
            created_at,
            updated_at,
        })
    }

    /// About how many bytes of memory this holds beside its own size.
    pub fn weight(&self) -> usize {
        let name = self.name.get().map_or(0, String::len);
        self.lifecycle.weight() + self.context.weight() + name
    }
}

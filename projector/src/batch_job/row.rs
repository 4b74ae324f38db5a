use events::{
    id::{BatchId, OrgId, RowId, RunId},
    payload::{
        BatchRowAdded, BatchRowCompleted, BatchRowFailed, BatchRowSkipped, BatchRowStarted,
        value::{Json, Text},
    },
};

use super::RowRow;
use crate::fold::{Latest, Lifecycle, Outcome, Stamp, Status};

/// What the events of a row say about it.
#[derive(Debug, Default)]
pub struct Row {
    lifecycle: Lifecycle,
    row_number: Latest<i32>,
    run_id: Latest<RunId>,
    external_id: Latest<String>,
    unfoldable: bool,
}

impl Row {
    /// Notes an event of the row that cannot be folded.
    pub fn unfoldable(&mut self) {
        self.unfoldable = true;
    }

    pub fn added(&mut self, stamp: Stamp, sent: BatchRowAdded) {
        self.external_id.offer_some(stamp, sent.external_id.map(|text| text.as_str().to_owned()));
        self.know(stamp, sent.row_number, sent.run_id);
        self.record(stamp, Status::Pending, None, None);
    }

    pub fn started(&mut self, stamp: Stamp, sent: BatchRowStarted) {
        self.know(stamp, sent.row_number, sent.run_id);
        self.record(stamp, Status::Running, None, None);
    }

    pub fn completed(&mut self, stamp: Stamp, sent: BatchRowCompleted) {
        self.know(stamp, sent.row_number, sent.run_id);
        self.record(stamp, Status::Completed, None, None);
    }

    pub fn failed(&mut self, stamp: Stamp, sent: BatchRowFailed) {
        self.know(stamp, sent.row_number, sent.run_id);
        self.record(stamp, Status::Failed, Some(sent.error_message), sent.error_details);
    }

    pub fn skipped(&mut self, stamp: Stamp, sent: BatchRowSkipped) {
        self.know(stamp, sent.row_number, sent.run_id);
        self.record(stamp, Status::Skipped, sent.reason, None);
    }

    fn know(&mut self, stamp: Stamp, row_number: Option<i32>, run_id: Option<RunId>) {
        self.lifecycle.include(stamp.time);
        self.row_number.offer_some(stamp, row_number);
        self.run_id.offer_some(stamp, run_id);
    }

    fn record(&mut self, stamp: Stamp, status: Status, message: Option<Text>, error_details: Option<Json>) {
        let error_message = message.map(String::from);
        self.lifecycle.record(0, stamp, Outcome { status, error_message, error_details, output_data: None });
    }

    /// Its place in the batch.
    pub fn number(&self) -> Option<i32> {
        self.row_number.get().copied()
    }

    /// Its status, once there is an event that its row can be made of.
    pub fn status(&self) -> Option<Status> {
        self.lifecycle.bounds().map(|_| self.lifecycle.status())
    }

    /// The row's row, once there is an event that it can be made of.
    pub fn row(&self, org_id: OrgId, batch_id: BatchId, row_id: RowId) -> Option<RowRow> {
        let (created_at, updated_at) = self.lifecycle.bounds()?;
        let Outcome { status, error_message, error_details, .. } = self.lifecycle.outcome();
        let mut flags = self.lifecycle.flags();
        if self.unfoldable {
            flags.insert("unfoldable_event");
        }
        Some(RowRow {
            org_id,
            batch_id,
            row_id,
            row_number: self.number(),
            status,
            run_id: self.run_id.get().copied(),
            external_id: self.external_id.get().cloned(),
            started_at: self.lifecycle.started_at(),
            ended_at: self.lifecycle.ended_at(),
            duration_ms: self.lifecycle.duration_ms(),
            error_message,
            error_details: error_details.map(|json| json.to_string()),
            flags,
            created_at,
            updated_at,
        })
    }

    /// About how many bytes of memory this holds beside its own size.
    pub fn weight(&self) -> usize {
        self.lifecycle.weight() + self.external_id.get().map_or(0, String::len)
    }
}

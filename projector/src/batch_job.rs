//! Batches and their rows: `batch_job` and `batch_row`.
//!
//! One state holds a batch and all of its rows, because the batch's totals are counts of its rows: they are
//! kept up to date row by row and can be no others, in whatever order the events come. Only what has changed
//! since the last time becomes rows, so a batch of 100,000 costs each step what is new in it.

use std::collections::{BTreeSet, HashMap, HashSet};

use events::{
    catalogue::{self, Payload},
    id::{BatchId, EventId, RowId},
};
use serde::Deserialize;
use sqlx::PgConnection;

use crate::{
    copy::Copy,
    fold::{Numbers, Stamp},
    projection::{Content, FoldEvent, Lookups, Projection, Subject},
};

#[cfg(test)]
mod any_order;
mod columns;
mod job;
mod row;
mod rows;
#[cfg(test)]
mod tests;
mod totals;

use job::Job;
use row::Row;
pub use rows::{JobRow, RowRow, Rows};
pub use totals::Totals;

/// A batch with its rows.
#[derive(Debug, Default)]
pub struct BatchJob {
    seen: HashSet<EventId>,
    unfoldable: bool,
    job: Job,
    rows: HashMap<RowId, Row>,
    totals: Totals,
    numbers: Numbers,
    /// Whether an event came since the last rows were taken, and to which rows.
    changed: bool,
    changed_rows: BTreeSet<RowId>,
    rows_weight: usize,
}

impl Projection for BatchJob {
    const NAME: &'static str = "batch_job";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["batch_job", "batch_row"];
    const TYPES: &'static [&'static str] = &[
        "batch.submitted",
        "batch.started",
        "batch.completed",
        "batch.failed",
        "batch.cancelled",
        "batch_row.added",
        "batch_row.started",
        "batch_row.completed",
        "batch_row.failed",
        "batch_row.skipped",
    ];
    const FAMILIES: &'static [&'static str] = &["batch", "batch_row"];
    type Rows = Rows;

    fn apply(&mut self, event: FoldEvent<'_>) {
        if matches!(event.content, Content::Elsewhere) || !self.seen.insert(event.stamp.event_id) {
            return;
        }
        self.changed = true;
        match event.content {
            Content::Payload(payload) => self.fold(event.stamp, *payload),
            _ => {
                self.unfoldable = true;
                if let Some(row_id) = row_id(event.event_type, event.data) {
                    self.row(row_id, Row::unfoldable);
                }
            }
        }
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Rows) -> usize {
        let batch_id = BatchId::of_subject(subject.subject_id);
        let mut bytes = 0;
        if std::mem::take(&mut self.changed)
            && let Some(row) = self.job_row(subject, batch_id)
        {
            bytes += row.weight();
            rows.jobs.push(row);
        }
        for row_id in std::mem::take(&mut self.changed_rows) {
            if let Some(row) = self.rows.get(&row_id).and_then(|row| row.row(subject.org_id, batch_id, row_id)) {
                bytes += row.weight();
                rows.rows.push(row);
            }
        }
        bytes
    }

    fn forget_changes(&mut self) {
        self.changed = false;
        self.changed_rows.clear();
    }

    fn copy(rows: &Rows) -> Vec<Copy> {
        rows.copy()
    }

    fn weight(&self) -> usize {
        const EVENT: usize = 32;
        let counted = self.seen.len() * EVENT + self.numbers.weight();
        size_of::<Self>() + counted + self.job.weight() + self.rows_weight
    }

    async fn write(rows: &Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        rows.write(conn).await
    }
}

impl BatchJob {
    fn fold(&mut self, stamp: Stamp, payload: Payload) {
        use Payload::*;
        self.job.include(stamp);
        match payload {
            BatchSubmitted(sent) => self.job.submitted(stamp, sent.0),
            BatchStarted(sent) => self.job.started(stamp, sent.0),
            BatchCompleted(_) => self.job.completed(stamp),
            BatchFailed(sent) => self.job.failed(stamp, sent),
            BatchCancelled(sent) => self.job.cancelled(stamp, sent),
            BatchRowAdded(sent) => self.row(sent.row_id, |row| row.added(stamp, sent)),
            BatchRowStarted(sent) => self.row(sent.row_id, |row| row.started(stamp, sent)),
            BatchRowCompleted(sent) => self.row(sent.row_id, |row| row.completed(stamp, sent)),
            BatchRowFailed(sent) => self.row(sent.row_id, |row| row.failed(stamp, sent)),
            BatchRowSkipped(sent) => self.row(sent.row_id, |row| row.skipped(stamp, sent)),
            // The families of other projections, which never get here: see `TYPES`.
            _ => {}
        }
    }

    fn row(&mut self, row_id: RowId, change: impl FnOnce(&mut Row)) {
        let mut added = 0;
        let row = self.rows.entry(row_id).or_insert_with(|| {
            added = size_of::<Row>() + 64;
            Row::default()
        });
        let (status, number, weight) = (row.status(), row.number(), row.weight());
        change(row);
        self.totals.change(status, row.status());
        self.numbers.change(number, row.number());
        self.rows_weight = self.rows_weight + added + row.weight() - weight;
        self.changed_rows.insert(row_id);
    }

    fn job_row(&self, subject: Subject, batch_id: BatchId) -> Option<JobRow> {
        let mut row = self.job.row(subject.org_id, batch_id, self.totals)?;
        let odd = [("row_number_reused", self.numbers.reused()), ("unfoldable_event", self.unfoldable)];
        row.flags.extend(odd.into_iter().filter_map(|(flag, is_so)| is_so.then_some(flag)));
        Some(row)
    }
}

/// The row that an event of the rows' family is about, though nothing else in it may be of use.
fn row_id(event_type: &str, data: &str) -> Option<RowId> {
    #[derive(Deserialize)]
    struct Named {
        row_id: RowId,
    }
    let is_of_a_row = catalogue::family(event_type) == "batch_row";
    serde_json::from_str::<Named>(data).ok().filter(|_| is_of_a_row).map(|named| named.row_id)
}

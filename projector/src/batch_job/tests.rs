use super::{BatchJob, JobRow, RowRow, Totals};
use crate::{
    fold::{Flags, Status},
    projection::{FoldEvent, Projection},
    story::{Told, id, lookups, on, recorded, rows_of, subject},
};

/// An event of a row that has this number for an id.
pub fn row(event_type: &'static str, time: &str, row: u128) -> Told {
    on(event_type, time).with(&format!("\"row_id\":\"{}\"", id(row)))
}

fn job_of(story: impl IntoIterator<Item = Told>) -> JobRow {
    let [job] = rows_of::<BatchJob>(story).jobs.try_into().unwrap();
    job
}

fn row_of(story: impl IntoIterator<Item = Told>) -> RowRow {
    let [row] = rows_of::<BatchJob>(story).rows.try_into().unwrap();
    row
}

fn submitted() -> Told {
    on("batch.submitted", "10:00:00").with(r#""name":"Monday","rows_expected":3,"context":{"file":"a.csv"}"#)
}

#[test]
fn a_batch_is_what_is_said_of_it_with_the_totals_of_its_rows() {
    let job = job_of([
        submitted(),
        on("batch.started", "10:00:01"),
        row("batch_row.added", "10:00:02", 1),
        row("batch_row.added", "10:00:02", 2),
        row("batch_row.started", "10:00:03", 1),
        row("batch_row.completed", "10:00:04", 1),
        row("batch_row.skipped", "10:00:04", 3),
    ]);
    assert_eq!((job.name.as_deref(), job.status, job.rows_expected), (Some("Monday"), Status::Running, Some(3)));
    assert_eq!(job.totals, Totals { pending: 1, completed: 1, skipped: 1, ..Totals::default() });
    assert_eq!((job.context.as_str(), job.totals.total()), (r#"{"file":"a.csv"}"#, 3));
    assert_eq!((job.updated_at - job.created_at).num_seconds(), 4);
}

#[test]
fn a_row_is_told_by_its_events_in_whatever_order_they_come() {
    let row = row_of([
        row("batch_row.failed", "10:00:05", 1).with(r#""error_message":"no such member""#),
        row("batch_row.started", "10:00:02", 1).with(&format!("\"run_id\":\"{}\"", id(9))),
        row("batch_row.added", "10:00:01", 1).with(r#""row_number":4,"external_id":"CLM-1""#),
    ]);
    assert_eq!((row.status, row.row_number, row.external_id.as_deref()), (Status::Failed, Some(4), Some("CLM-1")));
    assert_eq!((row.run_id.map(events::id::RunId::uuid), row.duration_ms), (Some(id(9)), Some(3_000)));
    assert_eq!((row.error_message.as_deref(), row.flags), (Some("no such member"), Flags::new()));
}

#[test]
fn a_batch_whose_rows_alone_are_known_is_pending() {
    let job = job_of([row("batch_row.started", "10:00:00", 1)]);
    assert_eq!((job.status, job.totals.running), (Status::Pending, 1));
}

#[test]
fn a_completed_batch_that_lacks_rows_or_has_open_ones_says_so() {
    let story = [submitted(), on("batch.started", "10:00:01"), row("batch_row.added", "10:00:02", 1)];
    let ended = |event_type, time| story.clone().into_iter().chain([on(event_type, time)]);
    assert_eq!(job_of(ended("batch.completed", "10:00:03")).flags, Flags::from(["rows_missing", "rows_unfinished"]));
    let cancelled = job_of(ended("batch.cancelled", "10:00:03"));
    assert_eq!((cancelled.status, cancelled.flags), (Status::Cancelled, Flags::new()));
}

#[test]
fn a_row_number_that_is_used_twice_is_flagged() {
    let numbered = |id| row("batch_row.added", "10:00:00", id).with(r#""row_number":1"#);
    assert_eq!(job_of([numbered(1), numbered(2)]).flags, Flags::from(["row_number_reused"]));
    assert_eq!(job_of([numbered(1), numbered(1)]).flags, Flags::new());
}

#[test]
fn a_row_that_only_an_unfoldable_event_names_is_counted_nowhere() {
    let poison = row("batch_row.failed", "10:00:01", 1).with(r#""error_message":5"#);
    let rows = rows_of::<BatchJob>([submitted(), poison.clone()]);
    assert_eq!((rows.jobs[0].totals.total(), rows.rows.len()), (0, 0));
    assert_eq!(rows.jobs[0].flags, Flags::from(["unfoldable_event"]));
    assert_eq!(row_of([poison, row("batch_row.added", "10:00:00", 1)]).flags, Flags::from(["unfoldable_event"]));
}

#[test]
fn what_a_step_costs_does_not_grow_with_the_batch() {
    let rows = 20_000_u128;
    let added = recorded((0..rows).map(|number| row("batch_row.added", "10:00:00", number + 1)));
    let mut state = BatchJob::default();
    let mut take = |events: &[events::RecordedEvent]| {
        for event in events {
            state.apply(FoldEvent::read::<BatchJob>(event).unwrap());
        }
        let mut taken = super::Rows::default();
        state.take_rows(subject(), &lookups(), &mut taken);
        (taken.rows.len(), taken.jobs[0].totals.total(), state.weight())
    };
    let (written, total, weight) = take(&added);
    assert_eq!((written, total), (rows as usize, rows as i32));
    assert!(weight / (rows as usize) < 600, "{} bytes a row", weight / (rows as usize));
    let one = recorded([row("batch_row.started", "10:00:01", 5).id(1 << 40)]);
    assert_eq!(take(&one).0, 1);
}

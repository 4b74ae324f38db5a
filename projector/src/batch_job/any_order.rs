//! Whatever the order, the duplicates and the batches of events: the rows are the same, and the totals are counts
//! of them all the time.

use std::collections::BTreeMap;

use events::{RecordedEvent, id::RowId};
use proptest::prelude::*;

use super::{BatchJob, RowRow, Rows, Totals, tests::row};
use crate::{
    fold::Status,
    projection::{FoldEvent, Projection},
    story::{Told, id, lookups, on, recorded, subject},
};

/// What a batch of a real service might send, on purpose crowded: few times, few rows, few numbers.
fn told() -> impl Strategy<Value = Told> {
    let of_batch = (0..6usize, 0..4u8).prop_map(|(which, n)| {
        let attributes = format!(r#""name":"{n}","rows_expected":{n},"context":{{"{n}":{n},"both":{n}}}"#);
        match which {
            0 => on("batch.submitted", "").with(&attributes),
            1 => on("batch.started", "").with(&attributes),
            2 => on("batch.completed", ""),
            3 => on("batch.failed", "").with(&format!(r#""error_message":"{n}","error_details":[{n}]"#)),
            4 => on("batch.cancelled", "").with(&format!(r#""reason":"{n}""#)),
            _ => on("batch.failed", "").with(r#""error_message":false"#),
        }
    });
    let of_row = (0..6usize, 1..5u128, 0..3u8).prop_map(|(which, number, n)| {
        let run = format!(r#""row_number":{n},"run_id":"{}""#, id(u128::from(n) + 1));
        match which {
            0 => row("batch_row.added", "", number).with(&format!(r#""row_number":{n},"external_id":"{n}""#)),
            1 => row("batch_row.started", "", number).with(&run),
            2 => row("batch_row.completed", "", number).with(&run),
            3 => row("batch_row.failed", "", number).with(&format!(r#""error_message":"{n}""#)),
            4 => row("batch_row.skipped", "", number),
            _ => row("batch_row.failed", "", number),
        }
    });
    (prop_oneof![of_batch, of_row.clone(), of_row], 0..6u8).prop_map(|(told, second)| {
        told.at(if second == 0 { "1999-01-01T00:00:00".to_owned() } else { format!("10:00:0{second}") })
    })
}

/// The tables after some batches of events.
#[derive(Debug, Default, PartialEq)]
struct Tables {
    job: Option<super::JobRow>,
    rows: BTreeMap<RowId, RowRow>,
}

impl Tables {
    /// What [`Rows::write`] does.
    fn write(&mut self, rows: Rows) {
        self.job = rows.jobs.into_iter().next_back().or(self.job.take());
        self.rows.extend(rows.rows.into_iter().map(|row| (row.row_id, row)));
    }

    fn counted(&self) -> Totals {
        let of = |status| self.rows.values().filter(|row| row.status == status).count() as i32;
        Totals {
            pending: of(Status::Pending),
            running: of(Status::Running),
            completed: of(Status::Completed),
            failed: of(Status::Failed),
            skipped: of(Status::Skipped),
        }
    }

    fn after<'a>(batches: impl IntoIterator<Item = &'a [RecordedEvent]>) -> Self {
        let (mut tables, mut state) = (Self::default(), BatchJob::default());
        for batch in batches {
            for event in batch {
                state.apply(FoldEvent::read::<BatchJob>(event).unwrap());
            }
            let mut rows = Rows::default();
            state.take_rows(subject(), &lookups(), &mut rows);
            tables.write(rows);
            let totals = tables.job.as_ref().map_or(Totals::default(), |job| job.totals);
            assert_eq!((totals, totals.total()), (tables.counted(), tables.rows.len() as i32));
        }
        tables
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_order_any_duplicates_and_any_batches_make_the_same_rows_and_totals_are_counts_of_them(
        (story, arrivals) in prop::collection::vec(told(), 1..40).prop_flat_map(|story| {
            let places: Vec<usize> = (0..story.len()).collect();
            let doubled = prop::sample::subsequence(places.clone(), 0..=places.len());
            let arrivals = doubled.prop_map(move |doubled| [places.clone(), doubled].concat()).prop_shuffle();
            (Just(story), arrivals)
        }),
        batch_size in 1..12usize,
    ) {
        let events = recorded(story);
        let arrived: Vec<_> = arrivals.iter().map(|place| events[*place].clone()).collect();
        prop_assert_eq!(Tables::after([&events[..]]), Tables::after(arrived.chunks(batch_size)));
    }
}

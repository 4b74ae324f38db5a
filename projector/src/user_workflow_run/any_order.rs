//! Whatever the order, the duplicates and the batches: the rows are the same.

use std::collections::BTreeMap;

use events::{
    RecordedEvent,
    id::{RunId, StepId},
};
use proptest::prelude::*;

use super::{Rows, UserWorkflowRun};
use crate::{
    projection::{FoldEvent, Projection},
    story::{Told, lookups, on, recorded, subject},
};

/// What a run of a real service might send, on purpose crowded: few times, few steps, few keys.
fn told() -> impl Strategy<Value = Told> {
    let run = (0..11usize, "[a-c]", 0..4u8).prop_map(|(which, key, n)| {
        let context = format!(r#""context":{{"{key}":{n},"both":"{key}"}}"#);
        let attributes =
            format!(r#"{context},"channel":"{}","workflow_revision":{n}"#, ["web", "telex"][n as usize % 2]);
        let error = format!(r#""error_message":"{key}","error_details":{{"n":{n}}}"#);
        match which {
            0 => on("run.created", "").with(&attributes),
            1 => on("run.started", "").with(&attributes),
            2 => on("run.context_added", "").with(&context),
            3 => {
                on("run.endpoint_used", "").with(&format!(r#""endpoint":{{"endpoint_id":"{}"}}"#, crate::story::id(9)))
            }
            4 => on("run.completed", "").with(&context),
            5 => on("run.failed", "").with(&error),
            6 => on("run.cancelled", "").with(&format!(r#""reason":"{key}""#)),
            7 => on("run.timed_out", "").with(&error),
            8 => on("run.retracted", "").with(r#""reason":"sent twice""#),
            9 => on("run.reinstated", ""),
            _ => on("custom.noted", ""),
        }
    });
    let step = (0..10usize, 1..4u128, 0..3i32, 0..3i32).prop_map(|(which, step, attempt, n)| {
        let about = format!(r#""step_number":{n},"metadata":{{"n":{n}}}"#);
        let (retry, attempt) = (format!(r#""attempt":{}"#, attempt + 1), format!(r#""attempt":{attempt}"#));
        match which {
            0 => on("step.created", "").with(&about),
            1 => on("step.started", "").with(&about).with(&attempt).with(&format!(r#""input_data":{n}"#)),
            2 => on("step.retried", "").with(&retry).with(r#""error_message":"again""#),
            3 => on("step.event_logged", "").with(&format!(r#""event":{{"n":{n},"time":"mine"}}"#)),
            4 => on("step.screenshot_captured", "").with(r#""screenshot":{"uri":"s3://shots/1"}"#),
            6 => on("step.completed", "").with(&attempt).with(&format!(r#""output_data":[{n}]"#)),
            7 => on("step.failed", "").with(&attempt).with(&format!(r#""error_message":"{n}""#)),
            5 => {
                let shots = r#""screenshots":[{"uri":"s3://shots/2"},{"uri":"s3://shots/1"}]"#;
                on("step.screenshot_captured", "").version(2).with(shots)
            }
            8 => on("step.skipped", "").with(&attempt).with(r#""reason":"not needed""#),
            _ => on("step.failed", "").with(r#""error_message":false"#),
        }
        .step(step)
    });
    let sent = (prop_oneof![run, step], 0..6u8, prop::option::of(1..9u64), any::<bool>());
    sent.prop_map(|(told, second, sequence, worker)| {
        let told = told.at(if second == 0 { "1999-01-01T00:00:00".to_owned() } else { format!("10:00:0{second}") });
        let source = if worker { "urn:worker" } else { "urn:portal" };
        match sequence {
            Some(sequence) => told.sent_by(source, sequence),
            None => told,
        }
    })
}

/// The tables after these batches: by run and step, the rows.
#[derive(Debug, Default, PartialEq)]
pub struct Tables(BTreeMap<(RunId, Option<StepId>), String>);

impl Tables {
    /// What [`Rows::write`] does.
    pub fn write(&mut self, rows: Rows) {
        for (_, retracted) in rows.retracted {
            self.0.retain(|(run_id, _), _| *run_id != retracted);
        }
        self.0.extend(rows.runs.into_iter().map(|row| ((row.run_id, None), format!("{row:#?}"))));
        self.0.extend(rows.steps.into_iter().map(|row| ((row.run_id, Some(row.step_id)), format!("{row:#?}"))));
    }

    fn after<'a>(batches: impl IntoIterator<Item = &'a [RecordedEvent]>) -> Self {
        let (mut tables, mut state) = (Self::default(), UserWorkflowRun::default());
        for batch in batches {
            for event in batch {
                state.apply(FoldEvent::read::<UserWorkflowRun>(event).unwrap());
            }
            let mut rows = Rows::default();
            state.take_rows(subject(), &lookups(), &mut rows);
            tables.write(rows);
        }
        tables
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_order_any_duplicates_and_any_batches_make_the_same_rows(
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

//! Whatever the order, the duplicates and the batches: the rows are the same.

use std::collections::BTreeMap;

use events::RecordedEvent;
use proptest::prelude::*;

use super::{Rows, UserWorkflow, tests::revision};
use crate::{
    projection::{FoldEvent, Projection},
    story::{Told, lookups, on, recorded, subject},
};

/// What a designer of workflows might send, on purpose crowded: few times, few revisions, few nodes.
fn told() -> impl Strategy<Value = Told> {
    let nodes = prop::sample::subsequence(vec![1, 2, 3, 4_u128], 1..=4);
    (0..6u8, 1..4i32, nodes, 0..5u8).prop_map(|(which, number, nodes, second)| {
        let time = format!("10:00:0{second}");
        match which {
            0 => on("workflow.archived", time),
            1 => on("workflow.revised", time).data(r#"{"revision":9}"#),
            2 => revision("workflow.created", &time, number, &nodes),
            _ => revision("workflow.revised", &time, number, &nodes),
        }
    })
}

/// The tables after these batches: by table and key, the rows.
#[derive(Debug, Default, PartialEq)]
struct Tables(BTreeMap<(&'static str, i32, String), String>);

impl Tables {
    /// What [`Rows::write`] does.
    fn write(&mut self, rows: Rows) {
        if !rows.replaced.is_empty() {
            self.0.retain(|(table, ..), _| !["node", "transition"].contains(table));
        }
        let workflows = rows.workflows.iter().map(|row| (("workflow", 0, String::new()), format!("{row:#?}")));
        let revisions =
            rows.revisions.iter().map(|row| (("revision", row.revision, String::new()), format!("{row:#?}")));
        let nodes = rows.nodes.iter().map(|row| (("node", 0, row.node_id.to_string()), format!("{row:#?}")));
        let links =
            rows.transitions.iter().map(|row| (("transition", row.position, String::new()), format!("{row:#?}")));
        self.0.extend(workflows.chain(revisions).chain(nodes).chain(links));
    }

    /// `again` is the number of the batch whose state is lost and folded anew, as after a restart.
    fn after<'a>(batches: impl IntoIterator<Item = &'a [RecordedEvent]>, again: Option<usize>) -> Self {
        let (mut tables, mut state, mut known) = (Self::default(), UserWorkflow::default(), Vec::new());
        for (number, batch) in batches.into_iter().enumerate() {
            if again == Some(number) {
                state = UserWorkflow::default();
                apply(&mut state, &known);
                state.forget_changes();
            }
            apply(&mut state, batch);
            known.extend_from_slice(batch);
            let mut rows = Rows::default();
            state.take_rows(subject(), &lookups(), &mut rows);
            tables.write(rows);
        }
        tables
    }
}

fn apply(state: &mut UserWorkflow, events: &[RecordedEvent]) {
    for event in events {
        state.apply(FoldEvent::read::<UserWorkflow>(event).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_order_any_duplicates_and_any_batches_make_the_same_rows(
        (story, arrivals) in prop::collection::vec(told(), 1..20).prop_flat_map(|story| {
            let places: Vec<usize> = (0..story.len()).collect();
            let doubled = prop::sample::subsequence(places.clone(), 0..=places.len());
            let arrivals = doubled.prop_map(move |doubled| [places.clone(), doubled].concat()).prop_shuffle();
            (Just(story), arrivals)
        }),
        batch_size in 1..6usize,
        again in prop::option::of(1..5usize),
    ) {
        let events = recorded(story);
        let arrived: Vec<_> = arrivals.iter().map(|place| events[*place].clone()).collect();
        prop_assert_eq!(Tables::after([&events[..]], None), Tables::after(arrived.chunks(batch_size), again));
    }
}

//! Whatever the order, the duplicates and the batches: the rows of an entity are the same.
//!
//! `any_order!` makes the test of one: its type, and a strategy of what happens to it.

use std::fmt::Debug;

use events::RecordedEvent;

use crate::{
    projection::{FoldEvent, Projection},
    story::{lookups, subject},
};

/// The last row that these batches write, as the table would hold it.
pub fn row_after<'a, P, R>(batches: impl IntoIterator<Item = &'a [RecordedEvent]>) -> Option<String>
where
    P: Projection<Rows = Vec<R>>,
    R: Debug,
{
    let (mut state, mut rows) = (P::default(), Vec::new());
    for batch in batches {
        for event in batch {
            state.apply(FoldEvent::read::<P>(event).unwrap());
        }
        state.take_rows(subject(), &lookups(), &mut rows);
    }
    rows.last().map(|row| format!("{row:#?}"))
}

/// A test that any order, any duplicates and any batches of such events make the same row.
macro_rules! any_order {
    ($entity:ty, $told:expr) => {
        proptest::proptest! {
            #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

            #[test]
            fn any_order_any_duplicates_and_any_batches_make_the_same_row(
                (story, arrivals) in proptest::collection::vec(($told, 0..6u8), 1..12).prop_flat_map(|story| {
                    let places: Vec<usize> = (0..story.len()).chain(0..story.len()).collect();
                    (Just(story), Just(places).prop_shuffle())
                }),
                batch_size in 1..6usize,
            ) {
                let told = story.into_iter().map(|(told, second)| told.at(format!("10:00:0{second}")));
                let events = crate::story::recorded(told);
                let arrived: Vec<_> = arrivals.iter().map(|place| events[*place].clone()).collect();
                let row_after = crate::entity::any_order::row_after::<$entity, _>;
                proptest::prop_assert_eq!(row_after(vec![&events[..]]), row_after(arrived.chunks(batch_size).collect()));
            }
        }
    };
}

pub(crate) use any_order;

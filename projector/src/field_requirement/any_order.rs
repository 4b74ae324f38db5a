//! Whatever the order, the duplicates and the batches of events: the rows are the same.

use std::collections::BTreeMap;

use events::RecordedEvent;
use proptest::prelude::*;
use uuid::Uuid;

use super::{ChangeRow, FieldRequirement, RequirementRow, Rows, tests::of_field};
use crate::{
    projection::{FoldEvent, Projection},
    story::{Told, id, lookups, recorded, subject},
};

/// Changes on purpose crowded: few fields, few times.
fn told() -> impl Strategy<Value = Told> {
    (0..6usize, 0..2u8, 0..5u8, 0..3u8).prop_map(|(which, field, second, n)| {
        let of = |event_type| of_field(event_type, &format!("10:00:0{second}"), &format!("field_{field}"));
        let level = format!(r#""level":"{}""#, ["required", "optional", "forbidden"][usize::from(n)]);
        let payer = format!("\"payer_id\":\"{}\"", id(u128::from(n) + 1));
        match which {
            0 => of("requirement.set").with(&level),
            1 => of("requirement.withdrawn"),
            2 => of("payer_requirement.set").with(&level).with(&format!("\"help_text\":\"{n}\"")),
            3 => of("payer_requirement.withdrawn"),
            4 => of("org_policy.set").with(r#""action":"override""#).with(&level).with(&payer),
            _ => of("org_policy.withdrawn").with(&payer),
        }
    })
}

/// The tables after some batches of events.
#[derive(Debug, Default, PartialEq)]
struct Tables {
    requirements: BTreeMap<(u8, Option<Uuid>, Uuid, String), RequirementRow>,
    changes: BTreeMap<Uuid, ChangeRow>,
}

impl Tables {
    /// What [`Rows::write`] does.
    fn write(&mut self, rows: Rows) {
        for (table, rows) in [(0, rows.global), (1, rows.payer), (2, rows.org)] {
            for row in rows {
                let payer = row.payer_id.map(|payer| payer.uuid());
                self.requirements.insert((table, payer, row.task_type_id.uuid(), row.field.clone()), row);
            }
        }
        for row in rows.changes {
            // The statement leaves the other columns as they are.
            let written = ChangeRow { version: 0, before: None, superseded_at: None, ..row.clone() };
            if let Some(there) = self.changes.insert(row.event_id.uuid(), row) {
                assert_eq!(ChangeRow { version: 0, before: None, superseded_at: None, ..there }, written);
            }
        }
    }

    fn after<'a>(batches: impl IntoIterator<Item = &'a [RecordedEvent]>) -> Self {
        let (mut tables, mut state) = (Self::default(), FieldRequirement::default());
        for batch in batches {
            for event in batch {
                state.apply(FoldEvent::read::<FieldRequirement>(event).unwrap());
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
        (story, arrivals) in prop::collection::vec(told(), 1..30).prop_flat_map(|story| {
            let places: Vec<usize> = (0..story.len()).collect();
            let doubled = prop::sample::subsequence(places.clone(), 0..=places.len());
            let arrivals = doubled.prop_map(move |doubled| [places.clone(), doubled].concat()).prop_shuffle();
            (Just(story), arrivals)
        }),
        batch_size in 1..8usize,
    ) {
        let events = recorded(story);
        let arrived: Vec<_> = arrivals.iter().map(|place| events[*place].clone()).collect();
        prop_assert_eq!(Tables::after([&events[..]]), Tables::after(arrived.chunks(batch_size)));
    }
}

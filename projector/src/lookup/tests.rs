use std::collections::BTreeMap;

use events::{RecordedEvent, payload::LookupTable};
use proptest::prelude::*;

use super::{Lookup, LookupRow, TABLES};
use crate::{
    projection::{FoldEvent, Projection, Subject},
    story::{Told, lookups, on, recorded, subject},
};

fn added(time: &str, lookup: &str, code: &str, label: &str) -> Told {
    on("lookup.value_added", time).with(&format!(r#""lookup":"{lookup}","code":"{code}","label":"{label}""#))
}

/// The tables after these batches, of an org that is its own subject.
fn after<'a>(batches: impl IntoIterator<Item = &'a [RecordedEvent]>) -> BTreeMap<(LookupTable, String), LookupRow> {
    let org_id = subject().org_id;
    let (mut state, mut rows) = (Lookup::default(), Vec::new());
    for batch in batches {
        for event in batch {
            state.apply(FoldEvent::read::<Lookup>(event).unwrap());
        }
        state.take_rows(Subject { org_id, subject_id: org_id.subject() }, &lookups(), &mut rows);
    }
    rows.into_iter().map(|row| ((row.table, row.code.clone()), row)).collect()
}

#[test]
fn every_lookup_table_is_written() {
    assert_eq!(TABLES, LookupTable::ALL.iter().map(|table| table.as_str()).collect::<Vec<_>>());
}

#[test]
fn a_value_has_its_latest_label_and_stands_in_its_own_table() {
    let story = recorded([
        added("10:00:01", "channel_type_lu", "edi", "EDI").with(r#""sort":4"#),
        added("10:00:00", "channel_type_lu", "edi", "Clearing house"),
        added("10:00:00", "task_domain_lu", "edi", "About EDI"),
    ]);
    let tables = after([&story[..]]);
    let channel = &tables[&(LookupTable::ChannelType, "edi".to_owned())];
    assert_eq!((channel.label.as_str(), channel.sort), ("EDI", 4));
    assert_eq!((channel.updated_at - channel.created_at).num_seconds(), 1);
    assert_eq!((tables[&(LookupTable::TaskDomain, "edi".to_owned())].sort, tables.len()), (0, 2));
}

#[test]
fn events_about_anything_but_the_org_make_no_rows() {
    let story = recorded([added("10:00:00", "channel_type_lu", "edi", "EDI")]);
    assert_eq!(crate::story::fold::<Lookup>(&story), Vec::new());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_any_duplicates_and_any_batches_make_the_same_rows(
        (story, arrivals) in prop::collection::vec((0..6u8, any::<bool>(), "[a-c]", "[a-b]"), 1..20).prop_flat_map(|story| {
            let places: Vec<usize> = (0..story.len()).chain(0..story.len()).collect();
            (Just(story), Just(places).prop_shuffle())
        }),
        batch_size in 1..8usize,
    ) {
        let told = story.iter().map(|(second, is_channel, code, label)| {
            let lookup = if *is_channel { "channel_type_lu" } else { "org_type_lu" };
            added(&format!("10:00:0{second}"), lookup, code, label)
        });
        let events = recorded(told);
        let arrived: Vec<_> = arrivals.iter().map(|place| events[*place].clone()).collect();
        prop_assert_eq!(after([&events[..]]), after(arrived.chunks(batch_size)));
    }
}

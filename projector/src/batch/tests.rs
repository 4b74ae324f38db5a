//! The cache and the refold, one against the other: whatever is cached, the same rows come out.

use futures::{FutureExt, stream};
use proptest::prelude::*;

use super::*;
use crate::{
    embedding::Hashing,
    story::{Told, lookups, on, recorded, subject},
    user_workflow_run::{UserWorkflowRun, any_order::Tables},
};

/// A ledger in memory, folded batch by batch with a cache of this size.
fn rows_with_cache(events: &[RecordedEvent], batch_size: usize, weight_max: usize) -> Tables {
    let (org_id, lookups) = (subject().org_id, lookups());
    let cache = StateCache::<UserWorkflowRun>::new(weight_max);
    let (mut tables, mut after) = (Tables::default(), 0);
    for page in events.chunks(batch_size) {
        cache.begin(org_id, 1, Seq::new(after as i64));
        let mut output = Output::new(Arc::new(Hashing));
        let mut batch = Batch::new(1, org_id, Seq::new(after as i64), &lookups, &cache, &mut output);
        let mut missing = BTreeMap::<_, Vec<_>>::new();
        for recorded in page {
            let event = FoldEvent::read::<UserWorkflowRun>(recorded).unwrap();
            missing.entry(recorded.event.subject_id).or_default().push(event);
        }
        for subject_id in missing.keys().copied().collect::<Vec<_>>() {
            if let Some(state) = cache.take(org_id, subject_id) {
                let events = missing.remove(&subject_id).unwrap();
                batch.finish(subject_id, state, events);
            }
        }
        let mut prior: Vec<_> =
            events[..after].iter().filter(|r| missing.contains_key(&r.event.subject_id)).cloned().collect();
        prior.sort_by_key(|recorded| (recorded.event.subject_id, recorded.seq));
        let prior = stream::iter(prior.into_iter().map(Ok));
        batch.fold_stream(prior, &HashSet::new(), &mut missing).now_or_never().unwrap().unwrap();
        assert!(missing.is_empty());
        after += page.len();
        cache.commit(org_id, Seq::new(after as i64), batch.into_states());
        tables.write(output.rows);
    }
    tables
}

fn told() -> impl Strategy<Value = Told> {
    (0..8usize, 1..3u128, 0..3i32, 0..5u8, 0xB..0xEu128).prop_map(|(which, step, attempt, second, run)| {
        let attempt = format!(r#""attempt":{attempt}"#);
        let told = match which {
            0 => on("run.started", "").with(r#""context":{"a":1}"#),
            1 => on("run.completed", ""),
            2 => on("step.started", "").step(step).with(&attempt),
            3 => on("step.completed", "").step(step).with(&attempt),
            4 => on("run.retracted", "").with(r#""reason":"sent twice""#),
            5 => on("run.reinstated", ""),
            6 => on("step.event_logged", "").step(step).with(r#""event":{}"#),
            _ => on("step.completed", "").step(step).with(r#""attempt":"poison""#),
        };
        told.at(format!("10:00:0{second}")).about(run)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_do_not_depend_on_what_is_cached(
        story in prop::collection::vec(told(), 1..40),
        batch_size in 1..8usize,
        small_cache in 1..4_000usize,
    ) {
        let events = recorded(story);
        let refolded = rows_with_cache(&events, batch_size, 1);
        prop_assert_eq!(&rows_with_cache(&events, batch_size, 1 << 30), &refolded);
        prop_assert_eq!(&rows_with_cache(&events, batch_size, small_cache), &refolded);
        prop_assert_eq!(&rows_with_cache(&events, events.len(), 1 << 30), &refolded);
    }
}

#[test]
fn what_was_parked_before_is_not_folded_when_a_state_is_made_anew() {
    let events = recorded([
        on("run.started", "10:00:00"),
        on("run.completed", "10:00:01"),
        on("run.context_added", "10:00:02").with(r#""context":{}"#),
    ]);
    let (org_id, lookups, cache) = (subject().org_id, lookups(), StateCache::<UserWorkflowRun>::new(0));
    let mut output = Output::new(Arc::new(Hashing));
    let mut batch = Batch::new(1, org_id, Seq::new(2), &lookups, &cache, &mut output);
    let last = FoldEvent::read::<UserWorkflowRun>(&events[2]).unwrap();
    let mut missing = BTreeMap::from([(subject().subject_id, vec![last])]);
    let prior = stream::iter(events[..2].iter().cloned().map(Ok));
    batch.fold_stream(prior, &HashSet::from([Seq::new(2)]), &mut missing).now_or_never().unwrap().unwrap();
    assert_eq!(output.rows.runs[0].status.as_str(), "running");
    assert!(output.rows.runs[0].flags.contains("unfoldable_event"));
}

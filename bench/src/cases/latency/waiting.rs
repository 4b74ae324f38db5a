//! Events that were sent and have not been seen yet, and how long those took that have.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use anyhow::Result;
use events::id::OrgId;
use hdrhistogram::Histogram;

/// The seq of an org's first event behind its registration.
const FIRST_SEQ: i64 = 2;

/// For microseconds up to an hour.
pub fn new_histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}

/// What waits, org by org, and the latencies of what does not any more.
pub struct Waiting {
    orgs: HashMap<OrgId, Queue>,
    latencies: Histogram<u64>,
    /// So many of the first events are not counted.
    warm_up: u64,
    added: u64,
    len: usize,
}

/// An org's events that wait: the seq of the first, and when each was due and whether it counts.
struct Queue {
    next_seq: i64,
    due: VecDeque<(Instant, bool)>,
}

impl Waiting {
    /// Nothing waits; the first `warm_up` events will not be counted.
    pub fn new(warm_up: u64) -> Result<Self> {
        Ok(Self { orgs: HashMap::new(), latencies: new_histogram()?, warm_up, added: 0, len: 0 })
    }

    /// The org's next event, which is due at this time.
    pub fn add(&mut self, org_id: OrgId, due: Instant) {
        let queue = self.orgs.entry(org_id).or_insert(Queue { next_seq: FIRST_SEQ, due: VecDeque::new() });
        queue.due.push_back((due, self.added >= self.warm_up));
        (self.added, self.len) = (self.added + 1, self.len + 1);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The org's events up to this seq were visible at this time.
    pub fn seen(&mut self, org_id: OrgId, seq: i64, now: Instant) {
        let Some(queue) = self.orgs.get_mut(&org_id) else { return };
        while queue.next_seq <= seq
            && let Some((due, counts)) = queue.due.pop_front()
        {
            if counts {
                self.latencies.saturating_record((now - due).as_micros() as u64);
            }
            (queue.next_seq, self.len) = (queue.next_seq + 1, self.len - 1);
        }
    }

    /// All that waits is taken for seen now.
    pub fn give_up(&mut self, now: Instant) {
        let orgs: Vec<OrgId> = self.orgs.keys().copied().collect();
        orgs.into_iter().for_each(|org_id| self.seen(org_id, i64::MAX, now));
    }

    /// In microseconds.
    pub fn into_latencies(self) -> Histogram<u64> {
        self.latencies
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_event_is_timed_from_when_it_was_due_to_when_its_seq_was_seen() {
        let (mut waiting, begun, org_id) = (Waiting::new(0).unwrap(), Instant::now(), OrgId::generate());
        let at = |ms| begun + Duration::from_millis(ms);
        waiting.add(org_id, at(0));
        waiting.add(org_id, at(10));
        waiting.seen(org_id, FIRST_SEQ - 1, at(1));
        waiting.seen(OrgId::generate(), 100, at(2));
        assert!(!waiting.is_empty());
        waiting.seen(org_id, FIRST_SEQ, at(4));
        waiting.seen(org_id, FIRST_SEQ, at(5));
        waiting.seen(org_id, FIRST_SEQ + 1, at(30));
        assert!(waiting.is_empty());
        let latencies = waiting.into_latencies();
        assert_eq!(latencies.len(), 2);
        assert!(latencies.min().abs_diff(4_000) <= 4 && latencies.max().abs_diff(20_000) <= 20);
    }

    #[test]
    fn the_warm_up_is_waited_for_and_not_counted() {
        let (mut waiting, due, org_id) = (Waiting::new(2).unwrap(), Instant::now(), OrgId::generate());
        (0..3).for_each(|_| waiting.add(org_id, due));
        waiting.seen(org_id, FIRST_SEQ + 1, due);
        assert!(!waiting.is_empty());
        waiting.seen(org_id, FIRST_SEQ + 2, due);
        assert_eq!((waiting.is_empty(), waiting.into_latencies().len()), (true, 1));
    }

    #[test]
    fn what_never_came_counts_with_the_time_it_was_waited_for() {
        let (mut waiting, due) = (Waiting::new(0).unwrap(), Instant::now());
        waiting.add(OrgId::generate(), due);
        waiting.give_up(due + Duration::from_secs(60));
        assert!(waiting.is_empty());
        assert!(waiting.into_latencies().max() >= 59_900_000);
    }
}

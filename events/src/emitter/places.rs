//! The places of events in what an emitter has sent about each subject: the `sequence` of those that
//! come without one.
//!
//! Invariant: no place is greater than the number of events that were sent about the subject, so the
//! ledger never misses an event that was not sent. An event that is sent again has its place already,
//! hence the ids; and because subjects have no end that an emitter could know, those that nothing was
//! sent about for the longest time are forgotten. They begin again at 1, which may hide a loss.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use lru::LruCache;

use crate::{
    envelope::Event,
    id::{EventId, OrgId, SubjectId},
};

/// Of so many events an emitter knows the places.
pub const EVENTS_MAX: usize = 1 << 16;

/// The places that were given out.
#[derive(Debug)]
pub struct Places {
    kept: Mutex<Kept>,
    events_max: usize,
}

#[derive(Debug)]
struct Kept {
    subjects: LruCache<(OrgId, SubjectId, String), HashMap<EventId, i64>>,
    events: usize,
}

impl Places {
    /// None yet; at most so many will be known.
    pub fn new(events_max: usize) -> Self {
        Self { kept: Mutex::new(Kept { subjects: LruCache::unbounded(), events: 0 }), events_max }
    }

    /// The place of the event: the one that it has, or the next.
    pub fn of(&self, event: &Event) -> i64 {
        // Nothing in here panics halfway.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { subjects, events } = &mut *kept;
        let subject = (event.org_id, event.subject_id, event.source.clone());
        let places = subjects.get_or_insert_mut(subject, HashMap::new);
        let next = places.len() as i64 + 1;
        let place = *places.entry(event.event_id).or_insert(next);
        *events += usize::from(place == next);
        while *events > self.events_max
            && let Some((_, forgotten)) = subjects.pop_lru()
        {
            *events -= forgotten.len();
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::payload::RunStarted;

    fn event(subject: u128, number: u128) -> Event {
        let id = Uuid::from_u128;
        let (org_id, subject_id) = (id(1).try_into().unwrap(), id(subject).try_into().unwrap());
        let event = Event::new(org_id, subject_id, "/emitter", &RunStarted::default()).unwrap();
        Event { event_id: id(subject << 64 | number).try_into().unwrap(), ..event }
    }

    #[test]
    fn events_are_counted_by_subject_and_an_event_keeps_its_place() {
        let places = Places::new(10);
        let given =
            [(7, 1), (7, 2), (8, 1), (7, 1), (7, 3)].map(|(subject, number)| places.of(&event(subject, number)));
        assert_eq!(given, [1, 2, 1, 1, 3]);
    }

    #[test]
    fn the_subject_that_was_quiet_longest_is_forgotten_first() {
        let places = Places::new(3);
        let given = [(7, 1), (8, 1), (7, 2), (9, 1), (7, 3), (8, 2)];
        assert_eq!(given.map(|(subject, number)| places.of(&event(subject, number))), [1, 1, 2, 1, 3, 1]);
    }

    proptest! {
        #[test]
        fn no_place_is_greater_than_the_number_of_events_sent(
            sent in prop::collection::vec((1..4u128, 1..9u128), 1..60),
            events_max in 0..12usize,
        ) {
            let (places, mut ids) = (Places::new(events_max), HashMap::<_, HashSet<_>>::new());
            for (subject, number) in sent {
                let ids = ids.entry(subject).or_default();
                ids.insert(number);
                prop_assert!(places.of(&event(subject, number)) <= ids.len() as i64);
                prop_assert!(places.kept.lock().unwrap().events <= events_max);
            }
        }
    }
}

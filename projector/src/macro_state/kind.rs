//! A kind of screen: what its row says of the screens that belong to it, kept up as they come, change and go.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use events::id::MicroStateId;

use super::{Name, screen::Screen};

/// A kind of screen.
#[derive(Debug)]
pub struct Kind {
    /// The label that makes it, unless what looks alike does; of no account where it is defined.
    pub label: Option<Name>,
    by_first_seen: BTreeSet<(DateTime<Utc>, MicroStateId)>,
    by_last_seen: BTreeSet<(DateTime<Utc>, MicroStateId)>,
    /// How often its screens were observed.
    pub observed_count: i64,
}

/// Screens that were labelled and not seen yet come after all others, from both ends.
const NOT_SEEN: (DateTime<Utc>, DateTime<Utc>) = (DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC);

impl Kind {
    /// One to which nothing belongs yet.
    pub fn new(label: Option<Name>) -> Self {
        Self { label, by_first_seen: BTreeSet::new(), by_last_seen: BTreeSet::new(), observed_count: 0 }
    }

    /// The screen belongs to it.
    pub fn add(&mut self, id: MicroStateId, screen: &Screen) {
        let (first, last) = screen.bounds().unwrap_or(NOT_SEEN);
        self.by_first_seen.insert((first, id));
        self.by_last_seen.insert((last, id));
        self.observed_count += count(screen);
    }

    /// The screen, which has not changed since it was added, belongs to it no more.
    pub fn remove(&mut self, id: MicroStateId, screen: &Screen) {
        let (first, last) = screen.bounds().unwrap_or(NOT_SEEN);
        self.by_first_seen.remove(&(first, id));
        self.by_last_seen.remove(&(last, id));
        self.observed_count -= count(screen);
    }

    /// How many screens belong to it.
    pub fn len(&self) -> usize {
        self.by_first_seen.len()
    }

    /// Those screens.
    pub fn screens(&self) -> impl Iterator<Item = MicroStateId> {
        self.by_first_seen.iter().map(|(_, id)| *id)
    }

    /// The screen that was seen first, and when.
    pub fn first_seen(&self) -> Option<(DateTime<Utc>, MicroStateId)> {
        self.by_first_seen.first().copied().filter(|(first, _)| *first < NOT_SEEN.0)
    }

    /// When one of its screens was seen last.
    pub fn last_seen_at(&self) -> Option<DateTime<Utc>> {
        self.by_last_seen.last().map(|(last, _)| *last).filter(|last| *last > NOT_SEEN.1)
    }
}

fn count(screen: &Screen) -> i64 {
    screen.seen.as_ref().map_or(0, |seen| i64::from(seen.count))
}

//! The events that the ledger of this process has appended last, for a projector in the same process: it is woken without
//! a notification, and need not read back what was at hand a moment ago.
//!
//! What is here was committed. Still it is handed over only to connections to the server that committed it: another one
//! that takes its place may have lost the last events, and have others at the same seqs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque, btree_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use events::{
    RecordedEvent,
    id::{OrgId, Seq},
};
use tokio::sync::Notify;

use crate::read::{Limit, Page, Room};

/// So many bytes of events are kept, of all orgs together.
const BYTES_MAX: usize = 8 << 20;
/// What an event takes besides its texts, about.
const EVENT_BYTES: usize = 512;

/// Which families of events were appended; none where that is not known.
pub type Families = Option<BTreeSet<String>>;

/// What was appended to an org, by one commit or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The first event.
    pub first: Seq,
    /// The last.
    pub last: Seq,
    /// Of which families they are.
    pub families: Families,
}

/// What was appended, by org.
pub type Commits = BTreeMap<OrgId, Commit>;

/// Adds a commit to those before it.
pub(crate) fn include(commits: &mut Commits, org_id: OrgId, commit: Commit) {
    match commits.entry(org_id) {
        Entry::Vacant(vacant) => {
            vacant.insert(commit);
        }
        Entry::Occupied(mut before) => {
            let before = before.get_mut();
            (before.first, before.last) = (before.first.min(commit.first), before.last.max(commit.last));
            before.families = before.families.take().zip(commit.families).map(|(mut before, families)| {
                before.extend(families);
                before
            });
        }
    }
}

/// A database and when its server was started: one that takes its place has another number, or was not started at the same
/// microsecond.
pub type Incarnation = String;

/// Selects the [`Incarnation`] that a connection is to, as `incarnation`.
pub const INCARNATION: &str = "SELECT concat(pg_postmaster_start_time(), ' ', oid) AS incarnation
    FROM pg_database WHERE datname = current_database()";

/// The events appended last; shared by the ledger and the projector of a process.
#[derive(Default)]
pub struct Recent {
    kept: Mutex<Kept>,
    appended: Mutex<Commits>,
    awaited: Notify,
    announcer: Mutex<Option<(u32, Incarnation)>>,
}

#[derive(Default)]
struct Kept {
    /// Where they were committed.
    incarnation: Option<Incarnation>,
    /// Without a gap between them.
    of_org: HashMap<OrgId, VecDeque<RecordedEvent>>,
    /// Up to which seq each commit went and how many bytes it was, the oldest first.
    commits: VecDeque<(OrgId, Seq, usize)>,
    bytes: usize,
}

impl Recent {
    /// These events of an org, in their order, were committed there.
    pub(crate) fn add(&self, incarnation: &str, org_id: OrgId, events: Vec<RecordedEvent>) {
        lock(&self.kept).add(incarnation, org_id, events);
    }

    /// Wakes whoever waits for commits. Those of events that were added are told after that.
    pub(crate) fn tell(&self, org_id: OrgId, commit: Commit) {
        let is_last = |events: &VecDeque<RecordedEvent>| events.back().is_some_and(|last| last.seq >= commit.last);
        let mut kept = lock(&self.kept);
        if !kept.of_org.get(&org_id).is_some_and(is_last) {
            kept.of_org.remove(&org_id);
        }
        drop(kept);
        include(&mut lock(&self.appended), org_id, commit);
        self.awaited.notify_one();
    }

    /// Waits for commits. For one task at a time.
    pub async fn appended(&self) -> Commits {
        loop {
            let appended = std::mem::take(&mut *lock(&self.appended));
            if !appended.is_empty() {
                return appended;
            }
            self.awaited.notified().await;
        }
    }

    /// Others append to this org: what is kept is not all there is.
    pub fn forget(&self, org_id: OrgId) {
        lock(&self.kept).of_org.remove(&org_id);
    }

    /// What [`crate::read::events_after`] would read there, as far as it is here; none if it is not.
    pub fn events_after(
        &self,
        incarnation: &str,
        org_id: OrgId,
        after: Seq,
        families: &[&str],
        limit: Limit,
    ) -> Option<Page> {
        let kept = lock(&self.kept);
        let events = kept.of_org.get(&org_id).filter(|_| kept.incarnation.as_deref() == Some(incarnation))?;
        let (first, last) = (events.front()?.seq, events.back()?.seq);
        if after.next() < first || after >= last {
            return None;
        }
        let mut page = Page { events: Vec::new(), through: after };
        let mut room = Room::new(limit, families);
        for recorded in events.range((after.next().get() - first.get()) as usize..) {
            if room.is_for(recorded) && room.add(&mut page, recorded.clone()) {
                return Some(page);
            }
        }
        page.through = last;
        Some(page)
    }

    /// Who tells other processes what was appended: the number of its server process, and where.
    pub(crate) fn announced_by(&self, announcer: Option<(u32, Incarnation)>) {
        *lock(&self.announcer) = announcer;
    }

    /// Whether a notification of this server process there says nothing that was not heard here.
    pub fn is_announced_by(&self, process_id: u32, incarnation: &str) -> bool {
        lock(&self.announcer).as_ref().is_some_and(|(id, there)| *id == process_id && there == incarnation)
    }
}

impl Kept {
    fn add(&mut self, incarnation: &str, org_id: OrgId, events: Vec<RecordedEvent>) {
        if self.incarnation.as_deref() != Some(incarnation) {
            *self = Self { incarnation: Some(incarnation.to_owned()), ..Self::default() };
        }
        let Some((first, last)) = events.first().zip(events.last()).map(|(first, last)| (first.seq, last.seq)) else {
            return;
        };
        let bytes = events.iter().map(bytes_of).sum();
        let of_org = self.of_org.entry(org_id).or_default();
        // Somebody else has appended in between.
        if of_org.back().is_some_and(|before| before.seq.next() != first) {
            of_org.clear();
        }
        of_org.extend(events);
        self.commits.push_back((org_id, last, bytes));
        self.bytes += bytes;
        while self.bytes > BYTES_MAX
            && let Some((org_id, through, bytes)) = self.commits.pop_front()
        {
            self.bytes -= bytes;
            self.forget(org_id, through);
        }
    }

    fn forget(&mut self, org_id: OrgId, through: Seq) {
        let Some(of_org) = self.of_org.get_mut(&org_id) else { return };
        while of_org.pop_front_if(|recorded| recorded.seq <= through).is_some() {}
        if of_org.is_empty() {
            self.of_org.remove(&org_id);
        }
    }
}

fn bytes_of(recorded: &RecordedEvent) -> usize {
    let event = &recorded.event;
    let optional = [&event.correlation_id, &event.causation_id, &event.traceparent, &event.extensions];
    let texts: usize = optional.into_iter().flatten().map(String::len).sum();
    EVENT_BYTES + event.data.len() + event.event_type.len() + event.source.len() + texts
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use events::{Event, id::RunId, payload::RunStarted};
    use uuid::Uuid;

    use super::*;

    const ROOMY: Limit = Limit { events_max: 100, bytes_max: 1 << 20 };
    const HERE: &str = "2026-03-01 16384";

    fn org() -> OrgId {
        Uuid::from_u128(1).try_into().unwrap()
    }

    fn recorded(seq: i64) -> RecordedEvent {
        let event = Event::new(org(), RunId::generate().subject(), "/test", &RunStarted::default());
        RecordedEvent {
            seq: Seq::new(seq),
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            leaf_hash: [0; 32],
            event: event.unwrap(),
        }
    }

    fn with(commits: &[std::ops::RangeInclusive<i64>]) -> Recent {
        let recent = Recent::default();
        commits.iter().for_each(|seqs| recent.add(HERE, org(), seqs.clone().map(recorded).collect()));
        recent
    }

    /// The seqs behind `after`, and how far they go.
    fn read(recent: &Recent, after: i64, limit: Limit) -> Option<(Vec<i64>, i64)> {
        let page = recent.events_after(HERE, org(), Seq::new(after), &[], limit)?;
        Some((page.events.iter().map(|recorded| recorded.seq.get()).collect(), page.through.get()))
    }

    #[test]
    fn what_goes_on_from_a_checkpoint_is_handed_over() {
        let recent = with(&[4..=6, 7..=7]);
        assert_eq!(read(&recent, 3, ROOMY), Some((vec![4, 5, 6, 7], 7)));
        assert_eq!(read(&recent, 5, ROOMY), Some((vec![6, 7], 7)));
        assert_eq!(read(&recent, 3, Limit { events_max: 2, ..ROOMY }), Some((vec![4, 5], 5)));
        assert_eq!(read(&recent, 3, Limit { bytes_max: 1, ..ROOMY }), Some((vec![4], 4)));
    }

    #[test]
    fn what_is_not_here_whole_is_to_be_read() {
        let recent = with(&[4..=6]);
        assert_eq!(read(&recent, 2, ROOMY), None, "3 was appended before");
        assert_eq!(read(&recent, 6, ROOMY), None, "others may have appended more");
        let of_another = Uuid::from_u128(2).try_into().unwrap();
        assert!(recent.events_after(HERE, of_another, Seq::new(3), &[], ROOMY).is_none());
    }

    #[test]
    fn only_families_asked_for_are_handed_over_and_all_count_as_looked_at() {
        let recent = with(&[1..=3]);
        let of = |families| recent.events_after(HERE, org(), Seq::ZERO, families, ROOMY).unwrap();
        assert_eq!((of(&["run"]).events.len(), of(&["run"]).through), (3, Seq::new(3)));
        assert_eq!((of(&["user"]).events.len(), of(&["user"]).through), (0, Seq::new(3)));
    }

    #[test]
    fn what_somebody_else_has_appended_in_between_makes_a_new_beginning() {
        let recent = with(&[1..=3, 6..=7]);
        assert_eq!(read(&recent, 2, ROOMY), None);
        assert_eq!(read(&recent, 5, ROOMY), Some((vec![6, 7], 7)));
    }

    #[test]
    fn what_another_server_has_committed_is_not_handed_over() {
        let recent = with(&[1..=3]);
        let other = "2026-03-02 16384";
        assert!(recent.events_after(other, org(), Seq::ZERO, &[], ROOMY).is_none());
        recent.add(other, org(), vec![recorded(3)]);
        assert_eq!(read(&recent, 2, ROOMY), None, "the first server is gone, and its events with it");
        let page = recent.events_after(other, org(), Seq::new(2), &[], ROOMY).unwrap();
        assert_eq!(page.events.len(), 1);
    }

    #[test]
    fn the_oldest_commits_go_when_there_are_too_many_bytes() {
        let events = (BYTES_MAX / EVENT_BYTES) as i64;
        let recent = with(&[1..=10, 11..=events]);
        assert_eq!(read(&recent, 0, ROOMY), None);
        assert!(read(&recent, 10, ROOMY).is_none_or(|(seqs, _)| seqs[0] == 11));
        assert!(lock(&recent.kept).bytes <= BYTES_MAX);
    }

    #[test]
    fn every_text_of_an_event_counts() {
        let mut large = recorded(1);
        large.event.set_extension("note", "x".repeat(60_000));
        assert!(bytes_of(&large) > 60_000);
    }

    #[test]
    fn commits_of_others_make_what_is_here_less_than_all() {
        let commit = |last| Commit { first: Seq::new(last), last: Seq::new(last), families: None };
        let recent = with(&[1..=3]);
        recent.tell(org(), commit(3));
        assert!(read(&recent, 0, ROOMY).is_some());
        recent.tell(org(), commit(4));
        assert_eq!(read(&recent, 0, ROOMY), None, "4 was not added");
        let recent = with(&[1..=3]);
        recent.forget(org());
        assert_eq!(read(&recent, 0, ROOMY), None);
    }

    #[test]
    fn a_process_knows_its_own_announcer_only() {
        let recent = Recent::default();
        assert!(!recent.is_announced_by(7, HERE));
        recent.announced_by(Some((7, HERE.to_owned())));
        assert!(recent.is_announced_by(7, HERE) && !recent.is_announced_by(8, HERE));
        assert!(!recent.is_announced_by(7, "2026-03-02 16384"), "another server gives out the same numbers");
        recent.announced_by(None);
        assert!(!recent.is_announced_by(7, HERE));
    }

    #[tokio::test]
    async fn commits_that_nobody_has_asked_for_yet_become_one() {
        let recent = Arc::new(Recent::default());
        let of = |families: &[&str]| Some(families.iter().map(|family| (*family).to_owned()).collect());
        let commit = |first, last, families| Commit { first: Seq::new(first), last: Seq::new(last), families };
        recent.tell(org(), commit(1, 2, of(&["org"])));
        recent.tell(org(), commit(3, 5, of(&["run"])));
        assert_eq!(recent.appended().await, Commits::from([(org(), commit(1, 5, of(&["org", "run"])))]));
        let waiting = tokio::spawn({
            let recent = recent.clone();
            async move { recent.appended().await }
        });
        tokio::task::yield_now().await;
        recent.tell(org(), commit(6, 6, None));
        assert_eq!(waiting.await.unwrap(), Commits::from([(org(), commit(6, 6, None))]));
    }
}

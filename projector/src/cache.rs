//! Fold states of recently active subjects, in bounded memory.
//!
//! A cache and nothing more: whatever is missing is folded anew from the ledger. The states of an
//! org are those of the checkpoint at which this process last committed; when the checkpoint stands
//! elsewhere, another process has gone on and they are void. A batch takes its states out and puts
//! them back after its commit, so what a failed transaction has touched is gone by itself.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use events::id::{OrgId, Seq, SubjectId};
use lru::LruCache;

use crate::projection::Projection;

/// The states of one projection.
pub struct StateCache<P> {
    inner: Mutex<Inner<P>>,
    weight_max: usize,
}

struct Inner<P> {
    states: LruCache<(OrgId, SubjectId), Cached<P>>,
    orgs: HashMap<OrgId, Org>,
    weight: usize,
}

struct Cached<P> {
    state: P,
    weight: usize,
    epoch: u64,
    /// Of the tables that it was folded for, up to `at`.
    generation: i32,
    at: Seq,
}

/// What an org's states are good for. A new epoch makes all older states void.
#[derive(Clone, Copy)]
struct Org {
    checkpoint: Seq,
    /// Of the tables: others may have other events parked.
    generation: i32,
    epoch: u64,
}

impl<P: Projection> StateCache<P> {
    /// An empty cache for about this many bytes.
    pub fn new(weight_max: usize) -> Self {
        let inner = Inner { states: LruCache::unbounded(), orgs: HashMap::new(), weight: 0 };
        Self { inner: Mutex::new(inner), weight_max }
    }

    /// About how many bytes it holds at most, unless a single state is larger.
    pub fn weight_max(&self) -> usize {
        self.weight_max
    }

    /// Where this process left the org.
    pub fn checkpoint(&self, org_id: OrgId) -> Option<Seq> {
        self.lock().orgs.get(&org_id).map(|org| org.checkpoint)
    }

    /// The org is now ours and stands at this checkpoint of the tables of this generation.
    pub fn begin(&self, org_id: OrgId, generation: i32, checkpoint: Seq) {
        let mut inner = self.lock();
        let org = inner.orgs.entry(org_id).or_insert(Org { checkpoint, generation, epoch: 0 });
        if (org.checkpoint, org.generation) != (checkpoint, generation) {
            *org = Org { checkpoint, generation, epoch: org.epoch + 1 };
        }
    }

    /// The org's checkpoint went on by events of no concern to the projection: the states are good as they are.
    pub fn pass(&self, org_id: OrgId, from: Seq, to: Seq) {
        if let Some(org) = self.lock().orgs.get_mut(&org_id).filter(|org| org.checkpoint == from) {
            org.checkpoint = to;
        }
    }

    /// Takes a state out.
    pub fn take(&self, org_id: OrgId, subject_id: SubjectId) -> Option<P> {
        let mut inner = self.lock();
        let cached = inner.states.pop(&(org_id, subject_id))?;
        inner.weight -= cached.weight;
        let valid = inner.orgs.get(&org_id).is_some_and(|org| org.epoch == cached.epoch);
        valid.then_some(cached.state)
    }

    /// Takes a state out, however far it goes: where another process has gone on, it ends before the checkpoint, and is
    /// good to go on from for whoever folds in order.
    pub fn take_however_far(&self, org_id: OrgId, subject_id: SubjectId) -> Option<(P, Seq)> {
        let mut inner = self.lock();
        let cached = inner.states.pop(&(org_id, subject_id))?;
        inner.weight -= cached.weight;
        let org = inner.orgs.get(&org_id).filter(|org| org.generation == cached.generation)?;
        let at = if org.epoch == cached.epoch { org.checkpoint } else { cached.at };
        (at <= org.checkpoint).then_some((cached.state, at))
    }

    /// The batch is committed: the org stands at `checkpoint` and these are the states that changed.
    pub fn commit(&self, org_id: OrgId, checkpoint: Seq, states: impl IntoIterator<Item = (SubjectId, P)>) {
        let mut inner = self.lock();
        // Begun with, or the states would be of nobody knows which tables.
        let Some(org) = inner.orgs.get_mut(&org_id) else { return };
        org.checkpoint = checkpoint;
        let Org { generation, epoch, .. } = *org;
        for (subject_id, state) in states {
            let weight = state.weight();
            inner.weight += weight;
            inner.states.put((org_id, subject_id), Cached { state, weight, epoch, generation, at: checkpoint });
        }
        // The latest state stays, however large: it was in memory anyway, and folding a huge run
        // anew for each batch would take a time that grows with the square of its length.
        while inner.weight > self.weight_max && inner.states.len() > 1 {
            let Some((_, oldest)) = inner.states.pop_lru() else { break };
            inner.weight -= oldest.weight;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<P>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::organization::Organization;

    const ROOMY: usize = 1 << 20;

    fn org(number: u128) -> OrgId {
        Uuid::from_u128(number).try_into().unwrap()
    }

    fn subject(number: u128) -> SubjectId {
        Uuid::from_u128(number).try_into().unwrap()
    }

    fn cache(weight_max: usize) -> StateCache<Organization> {
        let cache = StateCache::new(weight_max);
        cache.begin(org(1), 1, Seq::ZERO);
        cache.commit(org(1), Seq::new(5), [1, 2, 3].map(|number| (subject(number), Organization::default())));
        cache
    }

    #[test]
    fn states_serve_as_long_as_the_checkpoint_stands_where_we_left_it() {
        let cache = cache(ROOMY);
        cache.begin(org(1), 1, Seq::new(5));
        assert!(cache.take(org(1), subject(1)).is_some());
        cache.begin(org(1), 1, Seq::new(6));
        assert!(cache.take(org(1), subject(2)).is_none(), "another process has gone on");
        cache.begin(org(1), 1, Seq::new(5));
        assert!(cache.take(org(1), subject(3)).is_none(), "what was void stays void");
    }

    #[test]
    fn states_outlive_events_of_no_concern_that_come_next() {
        let cache = cache(ROOMY);
        cache.pass(org(1), Seq::new(5), Seq::new(9));
        cache.begin(org(1), 1, Seq::new(9));
        assert!(cache.take(org(1), subject(1)).is_some());
        cache.pass(org(1), Seq::new(10), Seq::new(12));
        cache.begin(org(1), 1, Seq::new(12));
        assert!(cache.take(org(1), subject(2)).is_none(), "another process has folded the tenth");
    }

    #[test]
    fn states_of_other_tables_are_other_states() {
        let cache = cache(ROOMY);
        cache.begin(org(1), 2, Seq::new(5));
        assert!(cache.take(org(1), subject(1)).is_none());
    }

    #[test]
    fn a_state_that_another_process_has_left_behind_says_how_far_it_goes() {
        let far = |cache: &StateCache<Organization>, number| {
            cache.take_however_far(org(1), subject(number)).map(|(_, at)| at)
        };
        let cache = cache(ROOMY);
        cache.pass(org(1), Seq::new(5), Seq::new(7));
        cache.begin(org(1), 1, Seq::new(7));
        assert_eq!(far(&cache, 1), Some(Seq::new(7)));
        assert_eq!(far(&cache, 1), None, "it was taken");
        cache.begin(org(1), 1, Seq::new(9));
        assert_eq!(far(&cache, 2), Some(Seq::new(5)));
        cache.begin(org(1), 2, Seq::new(9));
        assert_eq!(far(&cache, 3), None, "other tables");
    }

    #[test]
    fn a_state_that_was_taken_and_not_committed_is_gone() {
        let cache = cache(ROOMY);
        drop(cache.take(org(1), subject(1)));
        assert!(cache.take(org(1), subject(1)).is_none());
    }

    #[test]
    fn a_subject_of_another_org_is_another_subject() {
        assert!(cache(ROOMY).take(org(2), subject(1)).is_none());
    }

    #[test]
    fn the_oldest_go_when_it_is_full_and_the_latest_stays_however_large() {
        let cache = cache(1);
        assert!(cache.take(org(1), subject(1)).is_none());
        assert!(cache.take(org(1), subject(3)).is_some());
        assert_eq!(cache.lock().weight, 0);
    }
}

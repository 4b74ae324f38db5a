//! The past of orgs whose events are folded in their order: the one state of an org is brought up to the checkpoint, a
//! portion a step, so that however long the past is, no step takes long and the others get their turn.
//!
//! A state on its way waits here for the next step. If those that wait become too large together, the ones that have come
//! farthest stay: somebody always arrives. Those that nobody has come back for are dropped: another process has their orgs.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use events::id::{OrgId, Seq};
use ledger::read::{self, Limit};
use sqlx::PgConnection;

use super::turn::Turn;
use crate::{
    batch::{FoldError, reread},
    cache::StateCache,
    checkpoint::Version,
    embedding::{self, Embedder},
    generation::Target,
    parked,
    projection::Projection,
};

/// A step folds so many events of the past, of all its orgs together …
pub const EVENTS_MAX: i64 = 2_000;
/// … and so many at a time: others may run in between.
const PAGE: Limit = Limit { events_max: 500, bytes_max: 1 << 20 };
/// A state waits so long for the next step.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// States on their way to the checkpoint.
pub struct Past<P>(Mutex<HashMap<OrgId, Partial<P>>>);

struct Partial<P> {
    state: P,
    /// Whose tables it is for.
    generation: i32,
    /// All events up to here are in it.
    at: Seq,
    since: Instant,
}

impl<P> Default for Past<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P: Projection> Past<P> {
    /// The state of an org at its checkpoint. None if `room` is not enough to come there: the next step goes on.
    pub async fn fold(
        &self,
        conn: &mut PgConnection,
        turn: &Turn,
        cache: &StateCache<P>,
        embedder: &dyn Embedder,
        room: &mut i64,
    ) -> Result<Option<P>, FoldError> {
        let cached = cache.take_however_far(turn.org_id, turn.org_id.subject());
        let (state, at) = cached.or_else(|| self.take(turn)).unwrap_or_default();
        let mut partial = Partial { state, generation: turn.generation, at, since: Instant::now() };
        let folded = partial.fold(conn, turn, embedder, room).await;
        if folded.is_ok() && partial.at >= turn.after {
            return Ok(Some(partial.state));
        }
        self.keep(turn.org_id, partial, P::CACHE_BYTES_MAX);
        folded.map(|()| None)
    }

    fn take(&self, turn: &Turn) -> Option<(P, Seq)> {
        let partial = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&turn.org_id)?;
        let fits = partial.generation == turn.generation && partial.at <= turn.after;
        fits.then_some((partial.state, partial.at))
    }

    fn keep(&self, org_id: OrgId, partial: Partial<P>, weight_max: usize) {
        let mut partials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        partials.retain(|_, waiting| waiting.since + WAIT_MAX > partial.since);
        partials.insert(org_id, partial);
        let weight = |partials: &HashMap<_, Partial<P>>| partials.values().map(|it| it.state.weight()).sum::<usize>();
        while partials.len() > 1 && weight(&partials) > weight_max {
            let least =
                partials.iter().min_by_key(|(org_id, partial)| (partial.at, **org_id)).map(|(org_id, _)| *org_id);
            least.and_then(|org_id| partials.remove(&org_id));
        }
    }
}

impl<P: Projection> Partial<P> {
    async fn fold(
        &mut self,
        conn: &mut PgConnection,
        turn: &Turn,
        embedder: &dyn Embedder,
        room: &mut i64,
    ) -> Result<(), FoldError> {
        if self.at >= turn.after || *room == 0 {
            return Ok(());
        }
        let target = Target::Generation(self.generation);
        let parked = parked::seqs_of_org(conn, Version::of::<P>(), target, turn.org_id).await?;
        while self.at < turn.after && *room > 0 {
            let limit = Limit { events_max: PAGE.events_max.min(*room), ..PAGE };
            let page =
                read::events_after(conn, turn.org_id, self.at, P::FAMILIES, limit).await.map_err(FoldError::Read)?;
            let mut events = Vec::with_capacity(page.events.len());
            for recorded in page.events.iter().take_while(|recorded| recorded.seq <= turn.after) {
                let event = reread::<P>(recorded, &parked);
                events.push(event.map_err(|refusal| FoldError::Unknown { seq: recorded.seq, refusal })?);
            }
            embedding::attach(&mut events, &self.state, embedder, conn).await?;
            *room -= events.len() as i64;
            // From here on the page is in the state, whole.
            self.at = if page.events.is_empty() { turn.after } else { page.through.min(turn.after) };
            events.into_iter().for_each(|event| self.state.apply(event));
            self.state.forget_changes();
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::organization::Organization;

    fn org(number: u128) -> OrgId {
        Uuid::from_u128(number).try_into().unwrap()
    }

    /// The orgs whose states wait after these were kept, one after the other.
    fn waiting(partials: impl IntoIterator<Item = (u128, i64, Instant)>) -> Vec<OrgId> {
        let past = Past::<Organization>::default();
        for (number, at, since) in partials {
            let (state, at) = (Organization::default(), Seq::new(at));
            past.keep(org(number), Partial { state, generation: 1, at, since }, 1);
        }
        past.0.into_inner().unwrap().into_keys().collect()
    }

    #[test]
    fn a_state_that_nobody_has_come_back_for_makes_room() {
        let now = Instant::now();
        assert_eq!(waiting([(1, 9, now), (2, 5, now + WAIT_MAX)]), [org(2)]);
    }

    #[test]
    fn of_states_that_are_too_large_together_the_one_that_has_come_farthest_stays() {
        assert_eq!(waiting([(1, 5), (2, 9), (3, 7)].map(|(number, at)| (number, at, Instant::now()))), [org(2)]);
    }
}

//! One step of one projection for one org: claim the checkpoint, read what comes after it, fold,
//! write the rows, move the checkpoint, all in one transaction.
//!
//! A row is the fold of its subject's events up to the checkpoint and nothing else, and the two
//! become visible together. What fails is rolled back and done again; nothing is skipped but what
//! is recorded in `ledger.parked`. Called by `service`.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use events::{
    RecordedEvent, Refusal,
    id::{OrgId, Seq, SubjectId},
};
use futures::future::BoxFuture;
use ledger::{
    connection,
    read::{self, Limit, Page, ReadError},
};
use metrics::{counter, histogram};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr, SqlStr};

use crate::{
    batch::{Batch, FoldError},
    cache::StateCache,
    checkpoint::{self, Claim, Version},
    generation::{PAUSE, Target},
    parked::{self, Parked},
    projection::{Content, FoldEvent, Lookups, Projection},
};

/// A batch ends after so many events …
const BATCH_EVENTS_MAX: i64 = 2_000;
/// … or so many bytes of payload.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// To plan the statements of a small step takes longer than to run them. PostgreSQL keeps a plan where one made for
/// the org at hand is no better. Made while a table was small, a kept plan must not read it from end to end later.
const PLANS_KEPT: &str = "SET LOCAL plan_cache_mode = auto; SET LOCAL enable_seqscan = off";

/// Begins the transaction of a step. If the server dies between a commit and its way to the disk,
/// rows and checkpoint are lost together and the same events are folded again, so there is no
/// need to wait for the disk. Tables are not exchanged as long as it lasts.
fn begin(projection: &str) -> SqlStr {
    let pause = format!("SELECT pg_advisory_xact_lock_shared({PAUSE}, hashtext('{projection}'))");
    AssertSqlSafe(format!("BEGIN; SET LOCAL synchronous_commit = off; {PLANS_KEPT}; {pause}")).into_sql_str()
}

/// How a step ended.
#[derive(Debug)]
pub enum Step {
    /// There may be more to do.
    Moved,
    /// The org is folded up to the ledger's head.
    CaughtUp,
    /// Another process has the org.
    TakenByAnother,
    /// The next event is of a type or a version that only a newer projector can fold.
    Stopped {
        /// Which event.
        seq: Seq,
        /// What it is that is not known.
        refusal: Refusal,
    },
}

/// Why a step could not be made. Nothing has changed; it is to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while events were folded: {0}")]
    Database(#[from] sqlx::Error),
    /// Even the row without the event that PostgreSQL refused is refused.
    #[error("PostgreSQL refuses the rows of the event at seq {seq}, also without that event: {error}")]
    Refused {
        /// Which event.
        seq: Seq,
        /// What PostgreSQL says.
        error: sqlx::Error,
    },
}

impl StepError {
    /// Whether PostgreSQL is away, shutting down or starting.
    pub fn is_outage(&self) -> bool {
        let (Self::Database(error) | Self::Read(ReadError::Database(error))) = self else { return false };
        let Some(error) = error.as_database_error() else { return true };
        error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
    }
}

/// A projection at work, whichever it is.
pub trait Advance: Send + Sync {
    /// Makes a step for this org, up to `limit` if there is one.
    fn advance<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        org_id: OrgId,
        limit: Option<Seq>,
        lookups: &'a Lookups,
    ) -> BoxFuture<'a, Result<Step, StepError>>;
}

/// A projection at work: its cached states and what it has learnt about batches.
pub struct Folder<P> {
    target: Target,
    cache: StateCache<P>,
    /// Orgs whose checkpoint is known to exist.
    known: Mutex<HashSet<OrgId>>,
    /// Orgs in which PostgreSQL has refused rows a short while ago.
    trials: Mutex<HashMap<OrgId, Trial>>,
}

/// The search for the event that makes PostgreSQL refuse rows: batches are halved until it is alone,
/// parked then, and batches grow again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trial {
    events_max: i64,
    culprit: Option<(Seq, String)>,
}

impl Default for Trial {
    fn default() -> Self {
        Self { events_max: BATCH_EVENTS_MAX, culprit: None }
    }
}

impl Trial {
    /// The event to park. It comes first in the page, or another process has gone past it meanwhile
    /// and what is refused now is another event's fault.
    fn culprit_in(self, page: &Page) -> Option<(Seq, String)> {
        let first = page.events.first()?.seq;
        self.culprit.filter(|(seq, _)| *seq == first)
    }
}

/// What a step's transaction has done.
enum Outcome<P> {
    /// Something that is to be committed.
    Folded(Folded<P>),
    /// Nothing, and so the step ends.
    Nothing(Step),
}

/// A batch that only needs to be committed.
struct Folded<P> {
    events: usize,
    through: Seq,
    /// Whether that was all there is.
    whole: bool,
    parked: Vec<Parked>,
    states: Vec<(SubjectId, P)>,
}

/// A batch as it was read, up to the first event that this version cannot know.
struct Reading<'a> {
    events: Vec<(&'a RecordedEvent, FoldEvent<'a>)>,
    through: Seq,
    stop: Option<(Seq, Refusal)>,
}

impl<P: Projection> Advance for Folder<P> {
    fn advance<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        org_id: OrgId,
        limit: Option<Seq>,
        lookups: &'a Lookups,
    ) -> BoxFuture<'a, Result<Step, StepError>> {
        Box::pin(self.step(conn, org_id, limit, lookups))
    }
}

impl<P: Projection> Folder<P> {
    const VERSION: Version = Version::of::<P>();

    /// A projection at work on these tables, whose cache takes about so many bytes.
    pub fn new(target: Target, cache_bytes_max: usize) -> Self {
        Self { target, cache: StateCache::new(cache_bytes_max), known: Mutex::default(), trials: Mutex::default() }
    }

    async fn step(
        &self,
        conn: &mut PgConnection,
        org_id: OrgId,
        limit: Option<Seq>,
        lookups: &Lookups,
    ) -> Result<Step, StepError> {
        let started = Instant::now();
        if !lock(&self.known).contains(&org_id) {
            checkpoint::create(conn, Self::VERSION, self.target, org_id).await?;
            lock(&self.known).insert(org_id);
        }
        let mut tx = conn.begin_with(begin(P::NAME)).await?;
        match self.fold_next(&mut tx, org_id, limit, lookups).await? {
            Outcome::Folded(folded) => {
                tx.commit().await?;
                folded.report(org_id, started);
                self.cache.commit(org_id, folded.through, folded.states);
                self.widen(org_id);
                Ok(if folded.whole { Step::CaughtUp } else { Step::Moved })
            }
            Outcome::Nothing(step) => {
                // Not left to the drop: whoever comes next must find the checkpoint unlocked.
                tx.rollback().await?;
                if matches!(step, Step::TakenByAnother) {
                    // Other tables may serve by now, in which the org has no checkpoint yet.
                    lock(&self.known).remove(&org_id);
                }
                Ok(step)
            }
        }
    }

    /// Claims the org and folds what comes next; the commit is the caller's.
    async fn fold_next(
        &self,
        tx: &mut PgConnection,
        org_id: OrgId,
        limit: Option<Seq>,
        lookups: &Lookups,
    ) -> Result<Outcome<P>, StepError> {
        let left_at = self.cache.checkpoint(org_id);
        let claim = checkpoint::claim(tx, Self::VERSION, self.target, org_id, left_at).await?;
        let Some(Claim { seq: after, generation }) = claim else {
            return Ok(Outcome::Nothing(Step::TakenByAnother));
        };
        self.cache.begin(org_id, generation, after);
        let trial = lock(&self.trials).get(&org_id).cloned().unwrap_or_default();
        let events_max = trial.events_max;
        let size = Limit { events_max, bytes_max: BATCH_BYTES_MAX };
        let mut page = read::events_after(tx, org_id, after, P::FAMILIES, size).await?;
        let mut whole = is_whole(&page, size);
        if let Some(limit) = limit
            && page.through > limit
        {
            page.events.retain(|recorded| recorded.seq <= limit);
            page.through = limit.max(after);
            whole = true;
        }
        let culprit = trial.culprit_in(&page);
        let reading = Reading::of::<P>(&page, after, culprit.as_ref());
        if reading.through == after {
            let stopped = reading.stop.map(|(seq, refusal)| Step::Stopped { seq, refusal });
            return Ok(Outcome::Nothing(stopped.unwrap_or(Step::CaughtUp)));
        }
        let parked = reading.parked();
        parked::park(tx, Self::VERSION, generation, org_id, &parked).await?;
        let (events, through) = (reading.events.len(), reading.through);
        let whole = whole && reading.stop.is_none();
        let mut batch = Batch::<P>::new(generation, org_id, after, lookups, &self.cache);
        match batch.fold(tx, reading.events).await {
            Ok(()) => {}
            Err(FoldError::Refused(error)) => return self.narrow_down(org_id, &page, culprit.is_some(), error),
            Err(FoldError::Unknown { seq, refusal }) => return Ok(Outcome::Nothing(Step::Stopped { seq, refusal })),
            Err(FoldError::Read(error)) => return Err(error.into()),
            Err(FoldError::Database(error)) => return Err(error.into()),
        }
        checkpoint::advance(tx, Self::VERSION, generation, org_id, through).await?;
        Ok(Outcome::Folded(Folded { events, through, whole, parked, states: batch.into_states() }))
    }

    /// PostgreSQL refused the rows of this page: half of it is tried next, or, if it is a single
    /// event, that event is parked.
    fn narrow_down(
        &self,
        org_id: OrgId,
        page: &Page,
        was_parking: bool,
        error: sqlx::Error,
    ) -> Result<Outcome<P>, StepError> {
        let first = page.events.first().map_or(page.through, |event| event.seq);
        if was_parking {
            return Err(StepError::Refused { seq: first, error });
        }
        let culprit = (page.events.len() <= 1).then(|| (first, format!("PostgreSQL refuses the row: {error}")));
        let events_max = (page.events.len() as i64 / 2).max(1);
        lock(&self.trials).insert(org_id, Trial { events_max, culprit });
        Ok(Outcome::Nothing(Step::Moved))
    }

    /// A batch went well: the next one may be twice as large.
    fn widen(&self, org_id: OrgId) {
        let mut trials = lock(&self.trials);
        if let Some(trial) = trials.remove(&org_id)
            && trial.events_max * 2 < BATCH_EVENTS_MAX
        {
            trials.insert(org_id, Trial { events_max: trial.events_max * 2, culprit: None });
        }
    }
}

impl<'a> Reading<'a> {
    fn of<P: Projection>(page: &'a Page, after: Seq, culprit: Option<&(Seq, String)>) -> Self {
        let mut reading = Self { events: Vec::with_capacity(page.events.len()), through: page.through, stop: None };
        for recorded in &page.events {
            if let Some((seq, reason)) = culprit
                && *seq == recorded.seq
            {
                reading.events.push((recorded, FoldEvent::unfoldable(recorded, reason.clone())));
                continue;
            }
            match FoldEvent::read::<P>(recorded) {
                Ok(event) => reading.events.push((recorded, event)),
                Err(refusal) => {
                    // Everything before it counts, also what was of no concern.
                    reading.through = Seq::new(recorded.seq.get() - 1).max(after);
                    reading.stop = Some((recorded.seq, refusal));
                    break;
                }
            }
        }
        reading
    }

    fn parked(&self) -> Vec<Parked> {
        let parked = self.events.iter().filter_map(|(recorded, event)| match &event.content {
            Content::Unfoldable(reason) => {
                Some(Parked { subject_id: recorded.event.subject_id, seq: recorded.seq, reason: reason.clone() })
            }
            Content::Payload(_) | Content::Elsewhere => None,
        });
        parked.collect()
    }
}

impl<P: Projection> Folded<P> {
    fn report(&self, org_id: OrgId, started: Instant) {
        for Parked { subject_id, seq, reason } in &self.parked {
            tracing::warn!(projection = P::NAME, org = %org_id, subject = %subject_id, %seq, reason, "parked an event");
        }
        tracing::debug!(projection = P::NAME, org = %org_id, seq = %self.through, events = self.events, "folded");
        counter!("runledger_projection_events_total", "projection" => P::NAME).increment(self.events as u64);
        counter!("runledger_parked_total", "projection" => P::NAME).increment(self.parked.len() as u64);
        histogram!("runledger_projection_batch_events", "projection" => P::NAME).record(self.events as f64);
        histogram!("runledger_projection_batch_seconds", "projection" => P::NAME).record(started.elapsed());
    }
}

/// Whether the page went up to the ledger's head, not only up to its limit.
fn is_whole(page: &Page, limit: Limit) -> bool {
    let bytes: usize = page.events.iter().map(|recorded| recorded.event.data.len()).sum();
    (page.events.len() as i64) < limit.events_max && bytes < limit.bytes_max
}

/// Whether PostgreSQL refuses what it was given, rather than being in trouble itself: what the ledger
/// takes for that, and limits of the program such as the size of a `jsonb` value.
pub fn refuses_rows(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    connection::refuses_data(error) || code.is_some_and(|code| code.starts_with("54"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        organization::Organization,
        story::{on, recorded, subject},
    };

    /// The events from this seq on, as the ledger gives them out.
    fn page_from(seq: i64, events: usize) -> Page {
        let all = recorded((0..9).map(|_| on("org.updated", "10:00:00")));
        let events: Vec<_> = all.into_iter().skip(seq as usize - 1).take(events).collect();
        Page { through: events.last().unwrap().seq, events }
    }

    fn trial(folder: &Folder<Organization>) -> Trial {
        lock(&folder.trials).get(&subject().org_id).cloned().unwrap_or_default()
    }

    #[test]
    fn a_refused_batch_is_halved_until_one_event_is_to_be_parked() {
        let folder = Folder::<Organization>::new(Target::Kept, 0);
        let refuse = |page: &Page| folder.narrow_down(subject().org_id, page, false, sqlx::Error::RowNotFound);
        refuse(&page_from(3, 4)).unwrap();
        assert_eq!(trial(&folder), Trial { events_max: 2, culprit: None });
        refuse(&page_from(3, 2)).unwrap();
        refuse(&page_from(3, 1)).unwrap();
        let (seq, reason) = trial(&folder).culprit_in(&page_from(3, 1)).unwrap();
        assert_eq!(seq, Seq::new(3));
        assert!(reason.contains("PostgreSQL refuses the row"), "{reason}");
    }

    #[test]
    fn a_culprit_that_another_process_has_gone_past_is_not_blamed_for_the_next_event() {
        let stale = Trial { events_max: 1, culprit: Some((Seq::new(3), "refused".to_owned())) };
        assert_eq!(stale.clone().culprit_in(&page_from(4, 1)), None);
        assert_eq!(stale.clone().culprit_in(&page_from(2, 2)), None);
        assert!(stale.culprit_in(&page_from(3, 1)).is_some());
    }
}

//! One step of one projection for some orgs: claim their checkpoints, read what comes after them, fold,
//! write the rows, move the checkpoints, all in one transaction.
//!
//! A row is the fold of its subject's events up to the checkpoint and nothing else, and the two
//! become visible together. What fails is rolled back and done again; nothing is skipped but what
//! is recorded in `ledger.parked`. A transaction costs more than what it holds, so orgs share it; as soon as
//! one of them is in trouble, nothing is done, and the caller lets each make its step by itself. Called by `service`.

mod past;
mod trial;
mod turn;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use events::{
    Refusal,
    id::{OrgId, Seq, SubjectId},
};
use futures::future::BoxFuture;
use ledger::{
    connection,
    read::{self, Limit, ReadError},
    recent::Recent,
};
use metrics::{counter, histogram};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr, SqlStr, query};

use crate::{
    batch::{Batch, FoldError, Output},
    cache::StateCache,
    checkpoint::{self, Claim, Version},
    embedding::{self, Embedder, EmbedderError, Rendition},
    generation::{PAUSE, Target},
    parked::{self, Parked},
    passing::Stretch,
    projection::{Lookups, Projection},
};
use past::Past;
use trial::Trials;
use turn::{Reading, Turn};

/// A step takes so many events, of all its orgs together …
const BATCH_EVENTS_MAX: i64 = 2_000;
/// … or so many bytes of payload.
const BATCH_BYTES_MAX: usize = 2 << 20;

/// A plan for any org is made of plans for all of them, and made again whenever one of their partitions changes: with more
/// orgs than this, that takes longer than to plan for the org at hand.
const ORGS_PLANNED_MAX: i64 = 32;

/// To plan the statements of a small step takes longer than to run them, so a connection that makes many steps keeps
/// the plans as long as there are few orgs.
pub async fn keep_plans(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query!(
        "SELECT set_config('plan_cache_mode', CASE WHEN count(*) > $1 THEN 'auto' ELSE 'force_generic_plan' END, false)
         FROM pg_inherits WHERE inhparent = 'ledger.event'::regclass",
        ORGS_PLANNED_MAX
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Begins the transaction of a step. If the server dies between a commit and its way to the disk,
/// rows and checkpoints are lost together and the same events are folded again, so there is no
/// need to wait for the disk. A plan that was made while a table was small must not read it from end to end later.
/// Tables are not exchanged as long as the transaction lasts.
fn begin(projection: &str) -> SqlStr {
    let pause = format!("SELECT pg_advisory_xact_lock_shared({PAUSE}, hashtext('{projection}'))");
    let settings = "SET LOCAL synchronous_commit = off; SET LOCAL enable_seqscan = off";
    AssertSqlSafe(format!("BEGIN; {settings}; {pause}")).into_sql_str()
}

/// How a step ended for an org.
#[derive(Debug)]
pub enum Step {
    /// There may be more to do, of what is new or of the past that it is folded on.
    Moved,
    /// The others had enough for one step.
    Left,
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

/// What a step was for an org.
#[derive(Debug)]
pub struct Stepped {
    /// The org.
    pub org_id: OrgId,
    /// How it ended.
    pub step: Step,
    /// What was read and folded, if that was the events of every family.
    pub read: Option<Stretch>,
}

impl Stepped {
    /// Nothing has moved.
    fn still(org_id: OrgId, step: Step) -> Self {
        Self { org_id, step, read: None }
    }
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
    /// One of several orgs is in trouble. Each is to make its step by itself.
    #[error("the orgs cannot make this step together")]
    Together,
    /// These texts are to be embedded first: see [`embedding::fill`].
    #[error("{} texts are to be embedded first", .0.len())]
    Unembedded(Vec<Rendition>),
    /// They could not be embedded.
    #[error(transparent)]
    Embedder(#[from] EmbedderError),
    /// Whoever made the tables had another embedder.
    #[error(transparent)]
    OtherEmbedder(#[from] embedding::OtherEmbedder),
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
        let (Self::Database(error)
        | Self::Read(ReadError::Database(error))
        | Self::Embedder(EmbedderError::Database(error))) = self
        else {
            return false;
        };
        let Some(error) = error.as_database_error() else { return true };
        error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
    }
}

/// A projection at work, whichever it is.
pub trait Advance: Send + Sync {
    /// Makes a step for these orgs, which come in the order in which they have waited, each up to `limit` if there is
    /// one. Events that are `recent` are not read. Says how it ended for each of them.
    fn advance<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        orgs: &'a [OrgId],
        limit: Option<Seq>,
        lookups: &'a Lookups,
        recent: Option<&'a Recent>,
    ) -> BoxFuture<'a, Result<Vec<Stepped>, StepError>>;

    /// The checkpoint of an org went past events that do not concern the projection.
    fn passed(&self, org_id: OrgId, from: Seq, to: Seq);
}

/// A projection at work: its cached states and what it has learnt about batches.
pub struct Folder<P> {
    target: Target,
    embedder: Arc<dyn Embedder>,
    /// The generations that are known to hold embeddings of this embedder.
    settled: Mutex<HashSet<i32>>,
    cache: StateCache<P>,
    past: Past<P>,
    /// Orgs whose checkpoint is known to exist.
    known: Mutex<HashSet<OrgId>>,
    trials: Trials,
}

/// What a step's transaction has done.
struct Done<P> {
    /// What only needs to be committed.
    folded: Vec<Folded<P>>,
    /// How the step ends for orgs that do not move.
    others: Vec<Stepped>,
    /// Whose tables.
    generation: Option<i32>,
}

/// An org's part of what is to be committed.
struct Folded<P> {
    org_id: OrgId,
    events: usize,
    through: Seq,
    /// Whether that was all there is.
    whole: bool,
    parked: Vec<Parked>,
    read: Option<Stretch>,
    states: Vec<(SubjectId, P)>,
}

impl<P: Projection> Advance for Folder<P> {
    fn advance<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        orgs: &'a [OrgId],
        limit: Option<Seq>,
        lookups: &'a Lookups,
        recent: Option<&'a Recent>,
    ) -> BoxFuture<'a, Result<Vec<Stepped>, StepError>> {
        Box::pin(self.step(conn, orgs, limit, lookups, recent))
    }

    fn passed(&self, org_id: OrgId, from: Seq, to: Seq) {
        self.cache.pass(org_id, from, to);
    }
}

impl<P: Projection> Folder<P> {
    const VERSION: Version = Version::of::<P>();

    /// A projection at work on these tables.
    pub fn new(target: Target, embedder: Arc<dyn Embedder>) -> Self {
        let (cache, past) = (StateCache::new(P::CACHE_BYTES_MAX), Past::default());
        let (settled, known, trials) = (Mutex::default(), Mutex::default(), Trials::default());
        Self { target, embedder, settled, cache, past, known, trials }
    }

    async fn step(
        &self,
        conn: &mut PgConnection,
        orgs: &[OrgId],
        limit: Option<Seq>,
        lookups: &Lookups,
        recent: Option<&Recent>,
    ) -> Result<Vec<Stepped>, StepError> {
        let started = Instant::now();
        for &org_id in orgs {
            if !lock(&self.known).contains(&org_id) {
                checkpoint::create(conn, Self::VERSION, self.target, org_id).await?;
                lock(&self.known).insert(org_id);
            }
        }
        let mut tx = conn.begin_with(begin(P::NAME)).await?;
        let done = match self.fold_next(&mut tx, orgs, limit, lookups, recent).await {
            Ok(done) if !done.folded.is_empty() => tx.commit().await.map(|()| done)?,
            nothing => {
                // Not left to the drop: whoever comes next must find the checkpoints unlocked.
                tx.rollback().await?;
                nothing?
            }
        };
        // Not before the commit: a step that is rolled back has noted nothing.
        lock(&self.settled).extend(done.generation.filter(|_| !done.folded.is_empty()));
        let mut steps = done.others;
        for folded in done.folded {
            folded.report(started);
            let step = if folded.whole { Step::CaughtUp } else { Step::Moved };
            steps.push(Stepped { org_id: folded.org_id, step, read: folded.read });
            self.cache.commit(folded.org_id, folded.through, folded.states);
            self.trials.widen(folded.org_id);
        }
        Ok(steps)
    }

    /// Claims the orgs and folds what comes next; the commit is the caller's.
    async fn fold_next(
        &self,
        tx: &mut PgConnection,
        orgs: &[OrgId],
        limit: Option<Seq>,
        lookups: &Lookups,
        recent: Option<&Recent>,
    ) -> Result<Done<P>, StepError> {
        let left_at: Vec<_> = orgs.iter().map(|&org_id| (org_id, self.cache.checkpoint(org_id))).collect();
        let mut claimed = checkpoint::claim(tx, Self::VERSION, self.target, &left_at).await?;
        let (mut turns, mut others) = (Vec::new(), Vec::new());
        let mut room = Limit { events_max: BATCH_EVENTS_MAX, bytes_max: BATCH_BYTES_MAX };
        for &org_id in orgs {
            let Some(claim) = claimed.remove(&org_id) else {
                // Other tables may serve by now, in which the org has no checkpoint yet.
                lock(&self.known).remove(&org_id);
                others.push(Stepped::still(org_id, Step::TakenByAnother));
                continue;
            };
            if room.events_max == 0 || room.bytes_max == 0 {
                others.push(Stepped::still(org_id, Step::Left));
                continue;
            }
            if P::EMBEDS {
                self.settle(tx, claim.generation).await?;
            }
            self.cache.begin(org_id, claim.generation, claim.seq);
            let turn = self.read(tx, org_id, claim, limit, room, recent).await?;
            room.events_max -= turn.page.events.len() as i64;
            room.bytes_max = room.bytes_max.saturating_sub(turn.page.bytes());
            turns.push(turn);
        }
        let mut done = match self.fold(tx, &turns, lookups).await {
            Err(FoldError::Refused(_) | FoldError::Unknown { .. }) if turns.len() > 1 => {
                return Err(StepError::Together);
            }
            Err(FoldError::Refused(error)) => self.refused(&turns, error)?,
            Err(FoldError::Unknown { seq, refusal }) => Done::nothing(&turns, Step::Stopped { seq, refusal }),
            Err(FoldError::Unembedded(renditions)) => return Err(StepError::Unembedded(renditions)),
            Err(FoldError::Read(error)) => return Err(error.into()),
            Err(FoldError::Database(error)) => return Err(error.into()),
            Ok(done) => done,
        };
        done.others.extend(others);
        Ok(done)
    }

    /// Makes sure that the tables hold embeddings of this embedder and of no other.
    async fn settle(&self, tx: &mut PgConnection, generation: i32) -> Result<(), StepError> {
        if !lock(&self.settled).contains(&generation) {
            let made_with = P::made_with(&*self.embedder);
            embedding::settle::<StepError>(tx, P::NAME, generation, &made_with).await?;
        }
        Ok(())
    }

    /// Reads what comes next in an org.
    async fn read(
        &self,
        tx: &mut PgConnection,
        org_id: OrgId,
        Claim { seq: after, generation, ref incarnation }: Claim,
        limit: Option<Seq>,
        room: Limit,
        recent: Option<&Recent>,
    ) -> Result<Turn, StepError> {
        let trial = self.trials.of(org_id);
        let room = Limit { events_max: trial.events_max.min(room.events_max), ..room };
        let at_hand = recent.and_then(|recent| recent.events_after(incarnation, org_id, after, P::FAMILIES, room));
        let mut page = match at_hand {
            Some(page) => page,
            None => read::events_after(tx, org_id, after, P::FAMILIES, room).await?,
        };
        let mut whole = (page.events.len() as i64) < room.events_max && page.bytes() < room.bytes_max;
        if let Some(limit) = limit
            && page.through > limit
        {
            page.events.retain(|recorded| recorded.seq <= limit);
            page.through = limit.max(after);
            whole = true;
        }
        let culprit = trial.culprit_in(&page);
        Ok(Turn { org_id, generation, after, page, whole, culprit })
    }

    /// Folds what was read, writes rows and checkpoints.
    async fn fold(&self, tx: &mut PgConnection, turns: &[Turn], lookups: &Lookups) -> Result<Done<P>, FoldError> {
        let readings: Vec<_> = turns.iter().map(|turn| (turn, Reading::of::<P>(turn))).collect();
        if P::IN_ORDER {
            // Before a state is taken out of the cache: where an embedding is missing, all of them stay there.
            let events = readings.iter().flat_map(|(_, reading)| &reading.events).map(|(_, event)| event);
            embedding::require(events, &*self.embedder, tx).await?;
        }
        let (mut folded, mut others, mut room) = (Vec::new(), Vec::new(), past::EVENTS_MAX);
        let mut output = Output::new(self.embedder.clone());
        for (turn, reading) in readings {
            let Turn { org_id, generation, after, .. } = *turn;
            if reading.through == after {
                others.push(Stepped::still(org_id, reading.into_end()));
                continue;
            }
            let state = match P::IN_ORDER {
                true => self.past.fold(tx, turn, &self.cache, &*self.embedder, &mut room).await?,
                false => None,
            };
            if P::IN_ORDER && state.is_none() {
                others.push(Stepped::still(org_id, Step::Moved));
                continue;
            }
            let parked = reading.parked();
            parked::park(tx, Self::VERSION, generation, org_id, &parked).await?;
            let (events, through, whole) = (reading.events.len(), reading.through, reading.whole);
            let read = P::FAMILIES.is_empty().then(|| reading.stretch(after));
            let mut batch = Batch::new(generation, org_id, after, lookups, &self.cache, &mut output);
            match state {
                Some(state) => {
                    batch.fold_in_order(tx, state, reading.events.into_iter().map(|(_, event)| event)).await?
                }
                None => batch.fold(tx, reading.events).await?,
            }
            folded.push(Folded { org_id, events, through, whole, parked, read, states: batch.into_states() });
        }
        output.write(tx).await?;
        if let Some(turn) = turns.first() {
            let moved: Vec<_> = folded.iter().map(|folded| (folded.org_id, folded.through)).collect();
            checkpoint::advance(tx, Self::VERSION, turn.generation, &moved).await?;
        }
        Ok(Done { folded, others, generation: turns.first().map(|turn| turn.generation) })
    }

    /// PostgreSQL refused the rows of the only org of this step.
    fn refused(&self, turns: &[Turn], error: sqlx::Error) -> Result<Done<P>, StepError> {
        for Turn { org_id, page, culprit, .. } in turns {
            if culprit.is_some() {
                let seq = page.events.first().map_or(page.through, |event| event.seq);
                return Err(StepError::Refused { seq, error });
            }
            self.trials.narrow_down(*org_id, page, &error);
        }
        Ok(Done::nothing(turns, Step::Moved))
    }
}

impl<P> Done<P> {
    /// Nothing for these orgs.
    fn nothing(turns: &[Turn], step: Step) -> Self {
        let others = turns.first().map(|turn| Stepped::still(turn.org_id, step));
        Self { folded: Vec::new(), others: others.into_iter().collect(), generation: None }
    }
}

impl<P: Projection> Folded<P> {
    fn report(&self, started: Instant) {
        let Self { org_id, .. } = self;
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

/// Whether PostgreSQL refuses what it was given, rather than being in trouble itself: what the ledger
/// takes for that, and limits of the program such as the size of a `jsonb` value.
pub fn refuses_rows(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    connection::refuses_data(error) || code.is_some_and(|code| code.starts_with("54"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

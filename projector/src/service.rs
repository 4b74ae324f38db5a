//! The projector service: keeps every projection of every org up with the ledger.
//!
//! It is woken by the ledger's notification and looks by itself every second, so a lost notification
//! costs time only. The same look is what tries again after a fault. Start more of it and they share
//! the orgs; end one, in whatever way, and the others go on from its last commit.

mod embedding;
mod rebuilding;
mod working;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use events::id::{OrgId, Seq};
use ledger::{
    connection::{Backoff, Database, Outage, within},
    ingest::APPENDED_CHANNEL,
    recent::{INCARNATION, Incarnation, Recent},
};
use metrics::gauge;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgListener, query};
use tokio::{
    task::{JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use self::embedding::Unembedded;
use crate::{
    advance::Advance,
    appended::Appended,
    checkpoint::{self, Behind},
    embedding::{Embedder, Hashing},
    generation::{self, Generations, Target},
    passing::{Passed, Stretches},
    projection::Lookups,
    queue::Queue,
    registry::{Registration, RegistryError, checked, registry},
};

/// How often the service looks for orgs that are behind.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often projections are moved past events that do not concern them: often enough for whoever waits for all of them.
const PASS_INTERVAL: Duration = Duration::from_millis(500);
/// What is so many events behind waits to be moved past those that do not concern it …
const AWAITED_MIN: i64 = 2_000;
/// … unless what would move it stands still for so long.
const STILL_MAX: Duration = Duration::from_secs(30);
/// How long a step may take; a slow disk is no dead server.
const STEP_MAX: Duration = Duration::from_secs(120);
/// Steps that are made at the same time.
const WORKERS: usize = 4;

/// The service, ready to run.
pub struct Projector {
    pool: PgPool,
    database: Database,
    postgres: Arc<Outage>,
    projections: Vec<(Registration, Arc<dyn Advance>)>,
    embedder: Arc<dyn Embedder>,
    unembedded: Unembedded,
    rebuilds: bool,
    recent: Option<Arc<Recent>>,
    queue: Queue<Key>,
    /// What makes steps by itself until it has caught up: it has more than one step to make, or is in trouble.
    alone: Mutex<HashSet<Key>>,
    /// What has been read since projections were moved past it.
    read: Mutex<Stretches>,
    /// What is behind, maybe only by events that do not concern it.
    behind: Mutex<HashSet<Key>>,
    /// How far what reads every family is in the orgs that it is behind with, and since when it stands there.
    reader_at: Mutex<HashMap<OrgId, (Seq, Instant)>>,
    lookups: RwLock<Arc<Lookups>>,
    /// What does not work at the moment, so that it is logged once.
    failing: Mutex<HashSet<Key>>,
    /// Projections that hold embeddings and have gone on for some org since the last look.
    gone_on: Mutex<HashSet<usize>>,
    /// What this version of the program cannot fold; a newer one can.
    stopped: Mutex<HashSet<Key>>,
}

/// A projection, by its place in the list, and an org.
type Key = (usize, OrgId);

/// A fault of the program itself: a part of the service panicked, and the orgs that it had in hand
/// would wait for ever.
#[derive(Debug, thiserror::Error)]
#[error(
    "a task of the projector died: {0}; start the projector again, it goes on from its last commit, and report this"
)]
pub struct TaskDied(#[from] JoinError);

impl Projector {
    /// The service on this database, spoken to in the role of the projector.
    ///
    /// # Errors
    /// When the projections contradict each other.
    pub fn new(database: Database, postgres: Arc<Outage>) -> Result<Self, RegistryError> {
        Self::of(registry()?, database, postgres)
    }

    /// The service for these projections only, which may be other than those of the registry.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn of(projections: &[Registration], database: Database, postgres: Arc<Outage>) -> Result<Self, RegistryError> {
        let embedder: Arc<dyn Embedder> = Arc::new(Hashing);
        Ok(Self {
            // One connection a worker, one for the look, one that listens and one for embeddings.
            pool: database.pool(WORKERS as u32 + 3),
            database,
            postgres,
            projections: started(checked(projections)?.iter(), &embedder),
            embedder,
            unembedded: Unembedded::default(),
            rebuilds: true,
            recent: None,
            queue: Queue::new(),
            alone: Mutex::default(),
            read: Mutex::default(),
            behind: Mutex::default(),
            reader_at: Mutex::default(),
            lookups: RwLock::default(),
            failing: Mutex::default(),
            gone_on: Mutex::default(),
            stopped: Mutex::default(),
        })
    }

    /// Whether tables that an older version of a fold has made are rebuilt by itself, as is the default, or
    /// go on serving until somebody orders it.
    #[must_use]
    pub fn rebuilds_outdated(self, rebuilds: bool) -> Self {
        Self { rebuilds, ..self }
    }

    /// Embeds with this instead of [`Hashing`].
    #[must_use]
    pub fn embeds_with(self, embedder: Arc<dyn Embedder>) -> Self {
        let projections = started(self.projections.iter().map(|(projection, _)| projection), &embedder);
        Self { projections, embedder, ..self }
    }

    /// Is woken by a ledger in the same process, and takes over what that one has at hand.
    #[must_use]
    pub fn follows(self, recent: Arc<Recent>) -> Self {
        Self { recent: Some(recent), ..self }
    }

    /// Runs until `shutdown`; finishes the steps at hand then. Faults of PostgreSQL are waited out.
    ///
    /// # Errors
    /// When a task has panicked; the others have finished their steps then.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), TaskDied> {
        let service = Arc::new(self);
        let shutdown = shutdown.child_token();
        let mut tasks = JoinSet::new();
        // Nothing may be folded before the lookup tables have been seen.
        service.look_until_it_works(&shutdown).await;
        tasks.spawn(service.clone().keep_looking(shutdown.clone()));
        tasks.spawn(service.clone().keep_listening(shutdown.clone()));
        tasks.spawn(service.clone().keep_following(shutdown.clone()));
        tasks.spawn(service.clone().keep_passing(shutdown.clone()));
        tasks.spawn(service.clone().keep_rebuilding(shutdown.clone()));
        tasks.spawn(service.clone().keep_embedding(shutdown.clone()));
        for _ in 0..WORKERS {
            tasks.spawn(service.clone().keep_working(shutdown.clone()));
        }
        let ended = join_all(tasks, &shutdown).await;
        service.pool.close().await;
        ended
    }

    async fn look_until_it_works(&self, shutdown: &CancellationToken) {
        let mut backoff = Backoff::default();
        while let Some(Err(error)) = shutdown.run_until_cancelled(self.look()).await {
            self.postgres.began(&error);
            shutdown.run_until_cancelled(backoff.wait()).await;
        }
    }

    async fn keep_looking(self: Arc<Self>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(sleep(LOOK_INTERVAL)).await.is_some() {
            self.look_until_it_works(&shutdown).await;
        }
    }

    /// Queues whatever is behind. What reads some families only is behind whenever there are others, and waits until
    /// it could have been moved past them: to look for its own would take each of them as long as reading them all.
    async fn look(&self) -> Result<(), sqlx::Error> {
        let mut conn = self.pool.acquire().await?;
        let lookups = Arc::new(Lookups::load(&mut conn).await?);
        *self.lookups.write().unwrap_or_else(PoisonError::into_inner) = lookups;
        let generations = self.generations(&mut conn).await?;
        // 0 is the number of no generation: nobody writes tables whose fold he does not have.
        let number = |of| generations.kept(of).map_or(0, |kept| kept.generation);
        let kept: Vec<_> = self.projections.iter().map(|(it, _)| (it.name, number(it.checkpoint()))).collect();
        let behind = checkpoint::behind(&mut conn, &kept).await?;
        for (place, (projection, generation)) in kept.iter().enumerate().filter(|(_, (_, number))| *number > 0) {
            let of_this = behind.iter().filter(|behind| behind.projection == place);
            let lag: i64 = of_this.map(Behind::events).sum();
            gauge!("runledger_projection_lag_events", "projection" => *projection).set(lag as f64);
            gauge!("runledger_projection_generation", "projection" => *projection).set(f64::from(*generation));
        }
        let behind: Vec<_> = behind.into_iter().filter(|behind| kept[behind.projection].1 > 0).collect();
        self.end_pauses(&mut conn, &behind.iter().map(key).collect()).await?;
        let (due, passable): (Vec<_>, Vec<_>) =
            behind.into_iter().partition(|behind| self.projections[behind.projection].0.families.is_empty());
        let reader_at = self.follow_reader(&due);
        let is_awaited = |behind: &Behind| {
            behind.events() > AWAITED_MIN
                && !lock(&self.alone).contains(&key(behind))
                && reader_at
                    .get(&behind.org_id)
                    .is_some_and(|(at, since)| *at <= behind.at() && since.elapsed() < STILL_MAX)
        };
        let not_awaited: Vec<_> = passable.iter().filter(|behind| !is_awaited(behind)).map(key).collect();
        lock(&self.behind).extend(not_awaited);
        self.push(due.iter().map(key).collect());
        self.postgres.ended();
        Ok(())
    }

    /// Notes how far what reads every family is, which is `behind` in these orgs: where it moves it will come by the others,
    /// and move them past what does not concern them.
    fn follow_reader(&self, behind: &[Behind]) -> HashMap<OrgId, (Seq, Instant)> {
        let mut reader_at = lock(&self.reader_at);
        let now = |behind: &Behind| {
            let before = reader_at.get(&behind.org_id).filter(|(at, _)| *at == behind.at());
            (behind.org_id, before.copied().unwrap_or((behind.at(), Instant::now())))
        };
        *reader_at = behind.iter().map(now).collect();
        reader_at.clone()
    }

    /// The generations that there are; at the very first start, those that the migrations have made.
    async fn generations(&self, conn: &mut PgConnection) -> Result<Generations, sqlx::Error> {
        let generations = Generations::read(conn).await?;
        let unknown = |it: &Registration| generations.at(it.name, generation::SERVING).is_none();
        let unknown: Vec<_> = self.projections.iter().map(|(it, _)| *it).filter(unknown).collect();
        if unknown.is_empty() {
            return Ok(generations);
        }
        generation::begin(conn, &unknown).await?;
        Generations::read(conn).await
    }

    async fn keep_listening(self: Arc<Self>, shutdown: CancellationToken) {
        let mut backoff = Backoff::default();
        while let Some(ended) = shutdown.run_until_cancelled(self.listen()).await {
            if let Err(error) = ended {
                tracing::debug!(%error, "cannot listen; trying again, and looking meanwhile");
            }
            shutdown.run_until_cancelled(backoff.wait()).await;
        }
    }

    /// Queues what the ledger says it has appended. Ends with the connection.
    async fn listen(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(APPENDED_CHANNEL).await?;
        let incarnation: Incarnation = sqlx::query_scalar(INCARNATION).fetch_one(&mut listener).await?;
        while let Some(notification) = listener.try_recv().await? {
            let is_heard = |recent: &Arc<Recent>| recent.is_announced_by(notification.process_id(), &incarnation);
            if self.recent.as_ref().is_some_and(is_heard) {
                continue;
            }
            let orgs: Vec<Appended> = notification.payload().split(',').filter_map(Appended::read).collect();
            // Too many to be named.
            if orgs.is_empty() {
                self.look().await?;
            }
            if let Some(recent) = &self.recent {
                orgs.iter().for_each(|appended| recent.forget(appended.org_id));
            }
            self.wake(&orgs);
        }
        Ok(())
    }

    /// Queues what the ledger of this process has appended.
    async fn keep_following(self: Arc<Self>, shutdown: CancellationToken) {
        let Some(recent) = &self.recent else { return };
        while let Some(commits) = shutdown.run_until_cancelled(recent.appended()).await {
            let appended = commits.into_iter().map(|(org_id, commit)| Appended::of(org_id, commit.families));
            self.wake(&appended.collect::<Vec<_>>());
        }
    }

    fn wake(&self, orgs: &[Appended]) {
        let of_projection = |(place, (projection, _)): (usize, &(Registration, _))| {
            let concerned = orgs.iter().filter(|appended| appended.concerns(projection.families));
            concerned.map(|appended| (place, appended.org_id)).collect::<Vec<_>>()
        };
        self.push(self.projections.iter().enumerate().flat_map(of_projection).collect());
    }

    fn push(&self, mut keys: Vec<Key>) {
        let stopped = lock(&self.stopped);
        keys.retain(|key| !stopped.contains(key));
        self.queue.push(keys);
    }

    async fn keep_passing(self: Arc<Self>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(sleep(PASS_INTERVAL)).await.is_some() {
            let mut behind = std::mem::take(&mut *lock(&self.behind));
            match within(STEP_MAX, self.pass()).await {
                Ok(passed) => passed.iter().for_each(|key| _ = behind.remove(key)),
                Err(error) => tracing::debug!(%error, "projections could not be moved past what does not concern them"),
            }
            self.push(behind.into_iter().collect());
        }
    }

    /// Moves projections past what has been read and does not concern them.
    async fn pass(&self) -> Result<Vec<Key>, sqlx::Error> {
        let read = std::mem::take(&mut *lock(&self.read));
        let projections: Vec<_> = self.projections.iter().map(|(projection, _)| *projection).collect();
        // As in a step, there is no need to wait for the disk.
        let mut conn = self.pool.acquire().await?;
        let mut tx = conn.begin_with("BEGIN; SET LOCAL synchronous_commit = off").await?;
        let passed = read.pass(&mut tx, &projections).await?;
        tx.commit().await?;
        for Passed { projection, org_id, from, to } in &passed {
            self.projections[*projection].1.passed(*org_id, *from, *to);
        }
        Ok(passed.iter().map(|passed| (passed.projection, passed.org_id)).collect())
    }
}

fn started<'p>(
    projections: impl Iterator<Item = &'p Registration>,
    embedder: &Arc<dyn Embedder>,
) -> Vec<(Registration, Arc<dyn Advance>)> {
    projections.map(|it| (*it, (it.start)(Target::Kept, embedder.clone()))).collect()
}

fn key(behind: &Behind) -> Key {
    (behind.projection, behind.org_id)
}

/// Waits for all tasks; the first that dies shuts the others down.
async fn join_all(mut tasks: JoinSet<()>, shutdown: &CancellationToken) -> Result<(), TaskDied> {
    let mut ended = Ok(());
    while let Some(joined) = tasks.join_next().await {
        if let Err(error) = joined {
            tracing::error!(%error, "a task of the projector died, so the projector stops");
            shutdown.cancel();
            ended = ended.and(Err(error.into()));
        }
    }
    ended
}

impl Lookups {
    /// Reads the lookup tables.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn load(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut lookups = Self::default();
        for row in query!(r#"SELECT org_id AS "org_id: OrgId", code FROM channel_type_lu"#).fetch_all(conn).await? {
            lookups.channels.entry(row.org_id).or_default().insert(row.code);
        }
        Ok(lookups)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_ends_the_others_and_is_an_error() {
        let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(shutdown.clone().cancelled_owned());
        tasks.spawn(async { panic!("a fault of the fold") });
        let error = join_all(tasks, &shutdown).await.unwrap_err();
        assert!(error.to_string().contains("a fault of the fold"), "{error}");
    }

    #[tokio::test]
    async fn tasks_that_end_at_shutdown_are_no_error() {
        let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(shutdown.clone().cancelled_owned());
        shutdown.cancel();
        join_all(tasks, &shutdown).await.unwrap();
    }
}

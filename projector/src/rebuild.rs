//! Rebuild: any read model again from its events, while it serves.
//!
//! 1. Bare tables are made in the schema `rebuild`, as a new generation of the projection.
//! 2. Where rows hold embeddings, `embed` has those made that are not in the cache, before any transaction is open.
//! 3. `load` reads the ledger in (subject, seq) order, several orgs at a time, once for all projections, and
//!    loads each org in one transaction up to where the serving tables have it. Every event's leaf hash is checked.
//! 4. The owner's functions give the tables their keys, indexes, policies and grants.
//! 5. `compare` takes each org at one moment, with both sets of tables at the same seq.
//! 6. `swap` catches up, and exchanges the schemas of the two sets in one transaction.
//!
//! Whatever dies, what serves is whole, the old tables or the new ones; what was loaded is taken up by the next run. Called
//! by `runledger rebuild`, and by the service when a fold's version has changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::id::{OrgId, Seq};
use ledger::{connection::Database, read};
use sqlx::{Connection, PgConnection, PgPool, query};
use tokio::task::JoinSet;

use crate::{
    checkpoint,
    embedding::{Embedder, Hashing},
    generation::{self, Generation, Generations, MAKING, REPLACED, SERVING, Target},
    projection::Lookups,
    registry::Registration,
};

mod compare;
mod embed;
mod error;
mod lease;
mod load;
mod made_with;
mod neighbours;
mod plan;
mod progress;
mod swap;
mod tables;

pub use compare::{ColumnDifference, Compared, Difference, Kind};
pub use error::RebuildError;
pub use made_with::MadeWith;
pub use neighbours::Neighbours;
pub use plan::Plan;
pub use progress::{Phase, Progress, Snapshot};
use tables::Tables;

/// Projections to rebuild together: they share one reading of the events.
pub struct Rebuild {
    projections: Vec<Registration>,
    database: Database,
    embedder: Arc<dyn Embedder>,
}

/// How to rebuild.
#[derive(Clone, Debug)]
pub struct Order {
    /// Only this org's rows: they are mended in place instead of exchanging tables.
    pub only_org: Option<OrgId>,
    /// Compare, and change nothing.
    pub dry_run: bool,
    /// Orgs at a time.
    pub jobs: usize,
    /// Keep the replaced tables until the next rebuild, so that it can be undone.
    pub keep_old: bool,
    /// How long to wait for readers and locks before a swap is given up.
    pub wait_max: Duration,
}

impl Default for Order {
    fn default() -> Self {
        Self { only_org: None, dry_run: false, jobs: 2, keep_old: true, wait_max: Duration::from_secs(60) }
    }
}

/// What a rebuild has done.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Events read; those that an earlier, unfinished run has read do not count.
    pub events: u64,
    /// Milliseconds from the first event to the last row, indexes and all.
    pub load_ms: u64,
    /// Each projection.
    pub projections: Vec<Rebuilt>,
    /// Projections that hold embeddings too, and what the tables that serve are made with, which is not what this is set to.
    pub made_otherwise: Vec<(&'static str, String)>,
}

/// A rebuild that ended before its time.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unfinished {
    /// What it has done: of the projections, those that were compared and swapped before.
    pub done: Report,
    /// Why it ended. What serves is whole: of each projection the old tables, or the new ones.
    pub error: RebuildError,
}

impl From<Unfinished> for RebuildError {
    fn from(unfinished: Unfinished) -> Self {
        unfinished.error
    }
}

/// What has become of a projection.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Which one.
    pub projection: &'static str,
    /// The version of the fold that its rows are made by.
    pub version: i32,
    /// The version that made the rows compared with.
    pub version_before: i32,
    /// Each of its tables.
    pub tables: Vec<Compared>,
    /// Orgs whose serving rows stood behind the rebuilt ones, so that they could not be compared.
    pub orgs_not_compared: u64,
    /// For how long the projection stood still, in milliseconds; none where nothing was exchanged.
    pub paused_ms: Option<f64>,
    /// For how long its tables were locked, in milliseconds.
    pub locked_ms: Option<f64>,
    /// What its tables are made with, where that is something else than before.
    pub made_with: Option<MadeWith>,
    /// How neighbours have moved, where screens are embedded by something else than before.
    pub neighbours: Option<Neighbours>,
}

/// A projection whose tables are being made.
struct Making {
    projection: Registration,
    serving: Generation,
    /// The serving tables, if they are of the same version and embedder, and so ours to keep up too.
    kept: Option<Tables>,
    tables: Tables,
    made_with: String,
    /// Whether an earlier run has loaded them.
    is_loaded: bool,
}

/// What the tasks of a rebuild share.
struct Run {
    pool: PgPool,
    embedder: Arc<dyn Embedder>,
    order: Order,
    lookups: Lookups,
    progress: Progress,
    making: Vec<Making>,
}

impl Rebuild {
    /// Of these projections, in the role of the projector.
    pub fn of(projections: Vec<Registration>, database: Database) -> Self {
        Self { projections, database, embedder: Arc::new(Hashing) }
    }

    /// Embeds with this instead of [`Hashing`].
    #[must_use]
    pub fn embeds_with(self, embedder: Arc<dyn Embedder>) -> Self {
        Self { embedder, ..self }
    }

    /// Rebuilds. Each difference found is given to `on_difference`.
    ///
    /// # Errors
    /// Then each projection is served by its old tables or by its new ones, whole; the error tells what was done.
    pub async fn run(
        &self,
        order: &Order,
        progress: &Progress,
        on_difference: impl FnMut(Difference) + Send,
    ) -> Result<Report, Unfinished> {
        let mut report = Report::default();
        match self.run_under_lease(order, progress, on_difference, &mut report).await {
            Ok(()) => Ok(report),
            Err(error) => Err(Unfinished { done: report, error }),
        }
    }

    async fn run_under_lease(
        &self,
        order: &Order,
        progress: &Progress,
        on_difference: impl FnMut(Difference) + Send,
        report: &mut Report,
    ) -> Result<(), RebuildError> {
        let mut lease = lease::take(&self.database, &self.projections).await?;
        let ended = self.run_with(&mut lease, order, progress, on_difference, report).await;
        if order.makes_no_successor() {
            for projection in &self.projections {
                // They prove or mend something now, or never.
                let _ = lease::drop_tables(&mut lease, projection.name).await;
            }
        }
        lease.close().await?;
        ended
    }

    async fn run_with(
        &self,
        lease: &mut PgConnection,
        order: &Order,
        progress: &Progress,
        mut on_difference: impl FnMut(Difference) + Send,
        report: &mut Report,
    ) -> Result<(), RebuildError> {
        let run = self.start(lease, order, progress).await?;
        run.catch_up_serving().await?;
        let started = Instant::now();
        let embedded = embed::embed(&run).await?;
        let events = load::load(&run, &embedded).await?;
        run.note_loaded(events, started).await?;
        run.finish_tables().await?;
        run.note_loaded(events, started).await?;
        (report.events, report.load_ms) = (events, started.elapsed().as_millis() as u64);
        for place in 0..run.making.len() {
            let mut rebuilt = compare::compare(&run, place, &mut on_difference).await?;
            rebuilt.neighbours = neighbours::compare(&run, &run.making[place]).await?;
            if !order.makes_no_successor() {
                rebuilt = rebuilt.swapped(swap::swap(&run, lease, place).await?);
            }
            report.projections.push(rebuilt);
        }
        report.made_otherwise = self.made_otherwise(lease).await?;
        run.progress.enter(Phase::Done, 0);
        run.pool.close().await;
        Ok(())
    }

    /// Lets the tables serve again that the last rebuild has replaced, caught up with the ledger.
    ///
    /// # Errors
    /// When there are none, or when they were made by a version of the fold that this program does not have;
    /// nothing is changed then.
    pub async fn undo(&self, order: &Order, progress: &Progress) -> Result<Vec<Rebuilt>, RebuildError> {
        let mut lease = lease::take(&self.database, &self.projections).await?;
        let undone = self.undo_with(&mut lease, order, progress).await;
        for projection in &self.projections {
            // Whatever was not swapped.
            let _ = query!("SELECT ledger.unstage($1)", projection.name).execute(&mut lease).await;
        }
        lease.close().await?;
        undone
    }

    async fn undo_with(
        &self,
        lease: &mut PgConnection,
        order: &Order,
        progress: &Progress,
    ) -> Result<Vec<Rebuilt>, RebuildError> {
        let mut replaced = Vec::new();
        for projection in &self.projections {
            // An undo that died may have left them half-way.
            query!("SELECT ledger.unstage($1)", projection.name).execute(&mut *lease).await?;
            replaced.push(self.replaced_by(&Generations::read(lease).await?, projection)?);
        }
        let mut undone = Vec::new();
        for making in replaced {
            let staged = query!("SELECT ledger.stage_replaced($1)", making.projection.name).execute(&mut *lease).await;
            staged.map_err(RebuildError::of_refusal)?;
            let run = self.share(lease, order, progress, vec![making]).await?;
            run.finish_tables().await?;
            let rebuilt = Rebuilt::of(&run.making[0]).swapped(swap::swap(&run, lease, 0).await?);
            run.pool.close().await;
            undone.push(rebuilt);
        }
        progress.enter(Phase::Done, 0);
        Ok(undone)
    }

    /// Makes the tables, or takes up those that an earlier run has left.
    async fn start(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        progress: &Progress,
    ) -> Result<Arc<Run>, RebuildError> {
        generation::begin(conn, &self.projections).await?;
        let generations = Generations::read(conn).await?;
        let mut making = Vec::new();
        for projection in &self.projections {
            let serving = serving(&generations, projection)?;
            if order.only_org.is_some() && serving.version != projection.version {
                return Err(RebuildError::OneOrgOfAnotherVersion {
                    projection: projection.name,
                    serving: serving.version,
                    version: projection.version,
                });
            }
            let made_with = (projection.made_with)(&*self.embedder);
            if order.only_org.is_some() && !serving.is_of(serving.version, &made_with) {
                return Err(RebuildError::OneOrgOfAnotherEmbedder {
                    projection: projection.name,
                    serving: serving.embedder.unwrap_or_default(),
                    wanted: made_with,
                });
            }
            if serving.version > projection.version {
                return Err(RebuildError::OlderFold {
                    projection: projection.name,
                    version: projection.version,
                    serving: serving.version,
                    made_by: serving.made_by,
                });
            }
            if generations.at(projection.name, MAKING).is_some_and(|left| !left.is_of(left.version, &made_with)) {
                // A run with another embedder died.
                lease::drop_tables(conn, projection.name).await?;
            }
            let started = query!(
                r#"SELECT number AS "number!", is_loaded AS "is_loaded!" FROM ledger.start_generation($1, $2, $3, $4, $5)"#,
                projection.name,
                projection.version,
                env!("CARGO_PKG_VERSION"),
                order.only_org.is_some(),
                order.dry_run
            );
            let started = started.fetch_one(&mut *conn).await.map_err(RebuildError::of_refusal)?;
            making.push(Making::new(*projection, serving, started.number, started.is_loaded, &self.embedder));
        }
        self.share(conn, order, progress, making).await
    }

    /// The tables that the serving ones have replaced, to be taken up again.
    fn replaced_by(&self, generations: &Generations, projection: &Registration) -> Result<Making, RebuildError> {
        let serving = serving(generations, projection)?;
        let replaced =
            generations.at(projection.name, REPLACED).ok_or(RebuildError::NothingReplaced(projection.name))?;
        if replaced.version != projection.version {
            return Err(RebuildError::OtherFold {
                projection: projection.name,
                version: replaced.version,
                made_by: replaced.made_by.clone(),
            });
        }
        let wanted = (projection.made_with)(&*self.embedder);
        if !replaced.is_of(replaced.version, &wanted) {
            let replaced = replaced.embedder.clone().unwrap_or_default();
            return Err(RebuildError::ReplacedOfAnotherEmbedder { projection: projection.name, replaced, wanted });
        }
        Ok(Making::new(*projection, serving, replaced.generation, true, &self.embedder))
    }

    async fn share(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        progress: &Progress,
        making: Vec<Making>,
    ) -> Result<Arc<Run>, RebuildError> {
        let lookups = Lookups::load(conn).await?;
        // A job reads by one connection and writes by another.
        let pool = self.database.pool(order.jobs as u32 * 2 + 1);
        let embedder = self.embedder.clone();
        Ok(Arc::new(Run { pool, embedder, order: order.clone(), lookups, progress: progress.clone(), making }))
    }
}

impl Order {
    /// Whether what is made does not get to serve.
    fn makes_no_successor(&self) -> bool {
        self.dry_run || self.only_org.is_some()
    }
}

impl Rebuilt {
    /// Nothing is compared or swapped yet.
    fn of(making: &Making) -> Self {
        Self {
            projection: making.projection.name,
            version: making.projection.version,
            version_before: making.serving.version,
            tables: making.projection.tables.iter().map(|table| Compared { table, ..Compared::default() }).collect(),
            orgs_not_compared: 0,
            paused_ms: None,
            locked_ms: None,
            made_with: making.made_with_another(),
            neighbours: None,
        }
    }

    fn swapped(self, swapped: swap::Swapped) -> Self {
        Self { paused_ms: Some(swapped.paused_ms), locked_ms: Some(swapped.locked_ms), ..self }
    }
}

fn serving(generations: &Generations, projection: &Registration) -> Result<Generation, RebuildError> {
    generations.at(projection.name, SERVING).cloned().ok_or(RebuildError::NothingServes(projection.name))
}

impl Making {
    fn new(
        projection: Registration,
        serving: Generation,
        generation: i32,
        is_loaded: bool,
        embedder: &Arc<dyn Embedder>,
    ) -> Self {
        let tables = |target, generation| Tables::new(&projection, target, generation, embedder.clone());
        let made_with = (projection.made_with)(&**embedder);
        let is_ours = serving.is_of(projection.version, &made_with);
        let kept = is_ours.then(|| tables(Target::Kept, serving.generation));
        let tables = tables(Target::Generation(generation), generation);
        Self { kept, tables, made_with, is_loaded, serving, projection }
    }
}

impl Run {
    /// The orgs that are meant, and how far their ledgers go.
    async fn orgs(&self) -> Result<Vec<(OrgId, Seq)>, RebuildError> {
        let mut heads = read::heads(&mut *self.pool.acquire().await?).await?;
        heads.retain(|(org_id, _)| self.order.only_org.is_none_or(|only| only == *org_id));
        Ok(heads)
    }

    /// Folds into the serving tables what waits for them, as any projector does.
    async fn catch_up_serving(self: &Arc<Self>) -> Result<(), RebuildError> {
        if let (Some(org_id), true) = (self.order.only_org, self.orgs().await?.is_empty()) {
            return Err(RebuildError::UnknownOrg(org_id));
        }
        let generations: Vec<_> =
            self.making.iter().map(|making| (making.projection.name, making.serving.generation)).collect();
        let mut behind = checkpoint::behind(&mut *self.pool.acquire().await?, &generations).await?;
        behind.retain(|behind| {
            self.order.only_org.is_none_or(|only| only == behind.org_id)
                && self.making[behind.projection].kept.is_some()
        });
        self.progress.enter(Phase::CatchUp, behind.len() as u64);
        self.for_each(behind, |run, behind| async move {
            if let Some(kept) = &run.making[behind.projection].kept {
                run.catch_up(kept, behind.org_id, None).await?;
            }
            run.progress.add(1);
            Ok(())
        })
        .await
    }

    /// Folds an org's events up to `limit`, or all that there are now. Nothing is held while a text is embedded.
    async fn catch_up(&self, tables: &Tables, org_id: OrgId, limit: Option<Seq>) -> Result<(), RebuildError> {
        loop {
            let mut conn = self.pool.acquire().await?;
            let caught_up = tables.catch_up(&mut conn, org_id, limit, &self.lookups).await;
            drop(conn);
            match caught_up {
                Err(error) => self.embed_lacking(error).await?,
                done => return done,
            }
        }
    }

    /// Gives the loaded tables whatever the serving ones have.
    async fn finish_tables(self: &Arc<Self>) -> Result<(), RebuildError> {
        let tables: Vec<_> = self.making.iter().flat_map(|making| making.projection.tables).copied().collect();
        self.progress.enter(Phase::Index, tables.len() as u64);
        self.for_each(tables, |run, table| async move {
            query!("SELECT ledger.finish_table($1)", table).execute(&run.pool).await?;
            run.progress.add(1);
            Ok(())
        })
        .await
    }

    /// Notes that everything is loaded, and how long it took if it was done in one go.
    async fn note_loaded(&self, events: u64, started: Instant) -> Result<(), RebuildError> {
        let ms = started.elapsed().as_millis() as i64;
        for making in &self.making {
            let measured = (!making.is_loaded).then_some((events as i64, ms));
            query!(
                "SELECT ledger.generation_loaded($1, $2, $3, $4)",
                making.projection.name,
                making.tables.generation,
                measured.map(|(events, _)| events),
                measured.map(|(_, ms)| ms)
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(())
    }

    /// Does the work for each of the things, so many at a time as there are jobs.
    async fn for_each<T, Work>(
        self: &Arc<Self>,
        things: Vec<T>,
        work: impl Fn(Arc<Self>, T) -> Work,
    ) -> Result<(), RebuildError>
    where
        Work: Future<Output = Result<(), RebuildError>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for thing in things {
            if tasks.len() >= self.order.jobs
                && let Some(ended) = tasks.join_next().await
            {
                ended??;
            }
            tasks.spawn(work(self.clone(), thing));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

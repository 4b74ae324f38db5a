//! Loading: an org's events, read once in (subject, seq) order, folded by every projection, and its rows
//! loaded with COPY, in one transaction with the checkpoints. Reading, folding and loading go on side by side.
//! Projections that fold an org in the order of seq read it by themselves ([`in_order`]).

use std::{collections::HashMap, sync::Arc};

use events::{
    RecordedEvent,
    id::{OrgId, Seq, SubjectId},
};
use futures::{StreamExt, pin_mut};
use ledger::{merkle, read};
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc;

mod in_order;

use super::{Making, Phase, RebuildError, Run, embed::Embedded};
use crate::{
    advance::{StepError, refuses_rows},
    bulk::Bulk,
    checkpoint,
    copy::Copy,
    embedding::{Embeddings, Lack, Rendition},
    generation::MAKING,
    parked::{self, Parked},
    projection::Subject,
};

/// Rows wait until they take about so many bytes.
const ROWS_BYTES_MAX: usize = 2 << 20;
/// So many portions of rows wait for PostgreSQL.
const PORTIONS_MAX: usize = 2;
const EVENTS_BETWEEN_REPORTS: u64 = 1_000;

/// An org, and what is to be loaded of it.
struct Task {
    org_id: OrgId,
    /// The projections, by their place in the run, and up to which seq each is loaded: where the serving tables are.
    loads: Vec<(usize, Seq)>,
}

impl Task {
    fn through(&self) -> Seq {
        self.loads.iter().map(|(_, through)| *through).max().unwrap_or(Seq::ZERO)
    }
}

/// Rows of a projection on their way, and its events that could not be folded.
struct Portion {
    place: usize,
    rows: Vec<Copy>,
    parked: Vec<Parked>,
}

/// Loads what is not loaded yet, and says how many events that were. Where rows hold embeddings, no further than these go.
pub async fn load(run: &Arc<Run>, embedded: &Embedded) -> Result<u64, RebuildError> {
    let tasks = tasks(run, embedded).await?;
    let events = tasks.iter().map(|task| task.through().get() as u64).sum();
    run.progress.enter(Phase::Load, events);
    run.for_each(tasks, |run, task| async move { load_org(&run, &task).await }).await?;
    Ok(events)
}

/// What is to be loaded, the largest first, so that no job is left alone with one at the end.
async fn tasks(run: &Run, embedded: &Embedded) -> Result<Vec<Task>, RebuildError> {
    let mut conn = run.pool.acquire().await?;
    let mut of_org: HashMap<OrgId, Vec<(usize, Seq)>> = HashMap::new();
    for (place, making) in run.making.iter().enumerate().filter(|(_, making)| !making.is_loaded) {
        let name = making.projection.name;
        let loaded = checkpoint::positions(&mut conn, name, making.tables.generation).await?;
        let serving = checkpoint::positions(&mut conn, name, making.serving.generation).await?;
        for (org_id, mut through) in serving {
            if making.projection.embeds {
                through = embedded.get(&(place, org_id)).copied().unwrap_or(Seq::ZERO);
            }
            let is_meant = run.order.only_org.is_none_or(|only| only == org_id);
            if is_meant && through > Seq::ZERO && !loaded.contains_key(&org_id) {
                of_org.entry(org_id).or_default().push((place, through));
            }
        }
    }
    let mut tasks: Vec<_> = of_org.into_iter().map(|(org_id, loads)| Task { org_id, loads }).collect();
    tasks.sort_by_key(|task| std::cmp::Reverse((task.through(), task.org_id)));
    Ok(tasks)
}

async fn load_org(run: &Run, task: &Task) -> Result<(), RebuildError> {
    loop {
        match try_to_load_org(run, task).await {
            // Somebody has removed it from the cache.
            Err(error) => run.embed_lacking(error).await?,
            loaded => return loaded,
        }
    }
}

async fn try_to_load_org(run: &Run, task: &Task) -> Result<(), RebuildError> {
    let (mut reader, mut writer) = (run.pool.acquire().await?, run.pool.acquire().await?);
    let mut tx = writer.begin_with("BEGIN; SET LOCAL synchronous_commit = off").await?;
    let (sender, receiver) = mpsc::channel(PORTIONS_MAX);
    let folding = async {
        fold(run, task, &mut reader, sender.clone()).await?;
        in_order::fold(run, task, &mut reader, sender).await
    };
    let written = tokio::join!(folding, write(run, task, &mut tx, receiver));
    match written {
        (_, Err(error)) if refuses_rows(&error) => {
            // Some row is at fault: the org is left to the catch-up, which finds out which and parks its event.
            tracing::warn!(org = %task.org_id, %error, "PostgreSQL refuses a row; folding this org batch by batch");
            tx.rollback().await?;
            return Ok(());
        }
        (_, Err(error)) => return Err(error.into()),
        (Err(error), Ok(())) => {
            tx.rollback().await?;
            return Err(error);
        }
        (Ok(()), Ok(())) => {}
    }
    for (place, through) in &task.loads {
        let Making { projection, tables, .. } = &run.making[*place];
        if !checkpoint::set(&mut tx, projection.checkpoint(), tables.generation, task.org_id, *through).await? {
            tx.rollback().await?;
            return Err(RebuildError::Superseded(projection.name));
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The events of an org on their way through the folds.
struct Folding<'r> {
    run: &'r Run,
    org_id: OrgId,
    folds: Vec<(usize, Seq, Box<dyn Bulk>)>,
    sender: mpsc::Sender<Portion>,
    subject: Option<SubjectId>,
}

/// Ends early and well if nobody takes the rows any more: the other side knows why.
async fn fold(
    run: &Run,
    task: &Task,
    reader: &mut PgConnection,
    sender: mpsc::Sender<Portion>,
) -> Result<(), RebuildError> {
    let by_subject = task.loads.iter().filter(|(place, _)| !run.making[*place].projection.in_order);
    let folds = by_subject.map(|(place, through)| (*place, *through, (run.making[*place].projection.bulk)()));
    let mut folding = Folding { run, org_id: task.org_id, folds: folds.collect(), sender, subject: None };
    if folding.folds.is_empty() {
        return Ok(());
    }
    let mut found = 0;
    let events = read::events_by_subject(reader, task.org_id, &[], task.through());
    pin_mut!(events);
    while let Some(recorded) = events.next().await {
        let recorded = recorded?;
        if !folding.take(&recorded).await? {
            return Ok(());
        }
        found += 1;
        if found % EVENTS_BETWEEN_REPORTS == 0 {
            run.progress.add_events(EVENTS_BETWEEN_REPORTS);
        }
    }
    run.progress.add_events(found % EVENTS_BETWEEN_REPORTS);
    if found != task.through().get() as u64 {
        return Err(RebuildError::Missing { org_id: task.org_id, found, expected: task.through() });
    }
    folding.end_subject();
    folding.send(0).await?;
    Ok(())
}

/// Makes sure that the event is what was appended.
fn check(recorded: &RecordedEvent) -> Result<(), RebuildError> {
    let (org_id, seq) = (recorded.event.org_id, recorded.seq);
    if merkle::leaf_hash(&recorded.event, seq, recorded.recorded_at) != recorded.leaf_hash {
        return Err(RebuildError::Changed { org_id, seq });
    }
    Ok(())
}

impl Folding<'_> {
    /// Whether to go on.
    async fn take(&mut self, recorded: &RecordedEvent) -> Result<bool, RebuildError> {
        let (org_id, seq) = (self.org_id, recorded.seq);
        check(recorded)?;
        if self.subject != Some(recorded.event.subject_id) {
            self.end_subject();
            if !self.send(ROWS_BYTES_MAX).await? {
                return Ok(false);
            }
            self.subject = Some(recorded.event.subject_id);
        }
        for (_, through, fold) in &mut self.folds {
            if seq <= *through {
                fold.apply(recorded).map_err(|refusal| RebuildError::Newer { org_id, seq, refusal })?;
            }
        }
        Ok(true)
    }

    fn end_subject(&mut self) {
        if let Some(subject_id) = self.subject {
            let subject = Subject { org_id: self.org_id, subject_id };
            self.folds.iter_mut().for_each(|(_, _, fold)| fold.end_subject(subject, &self.run.lookups));
        }
    }

    /// Sends the rows of which there are so many bytes, or more. False if nobody takes them.
    async fn send(&mut self, bytes_min: usize) -> Result<bool, RebuildError> {
        for (place, _, fold) in &mut self.folds {
            if fold.waiting_bytes() >= bytes_min {
                let embeddings = embeddings(self.run, &fold.renditions()).await?;
                let (rows, parked) = fold.take(&embeddings);
                if self.sender.send(Portion { place: *place, rows, parked }).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// From the cache.
async fn embeddings<'r>(run: &'r Run, renditions: &[Rendition]) -> Result<Embeddings<'r>, RebuildError> {
    if renditions.is_empty() {
        return Ok(Embeddings::none(&*run.embedder));
    }
    let renditions: Vec<_> = renditions.iter().collect();
    let found = Embeddings::look_up(&mut *run.pool.acquire().await?, &*run.embedder, &renditions).await;
    found.map_err(|lack| match lack {
        Lack::Renditions(missing) => StepError::Unembedded(missing).into(),
        Lack::Database(error) => error.into(),
    })
}

async fn write(
    run: &Run,
    task: &Task,
    conn: &mut PgConnection,
    mut portions: mpsc::Receiver<Portion>,
) -> Result<(), sqlx::Error> {
    while let Some(Portion { place, rows, parked }) = portions.recv().await {
        for rows in rows {
            rows.load(MAKING, conn).await?;
        }
        let Making { projection, tables, .. } = &run.making[place];
        parked::park(conn, projection.checkpoint(), tables.generation, task.org_id, &parked).await?;
    }
    Ok(())
}

//! Embedding: has the texts of an org embedded that are not yet, page by page of its events, so that loading finds all
//! of them in the cache. No transaction is open while an embedder works, however long it takes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use events::{
    RecordedEvent,
    id::{OrgId, Seq, SubjectId},
};
use ledger::read::{self, Limit};

use super::{Making, Phase, RebuildError, Run};
use crate::{
    advance::StepError,
    checkpoint,
    embedding::{Embeddings, Lack, Rendition, fill, forget_refusals, settle},
    projection::Subject,
    registry::registry,
};

const PAGE: Limit = Limit { events_max: 2_000, bytes_max: 8 << 20 };

/// Of projections, by their place in the run, and orgs: up to where the texts are embedded.
pub type Embedded = HashMap<(usize, OrgId), Seq>;

impl Run {
    /// Has the texts embedded that something lacked, which then is to be tried again: it finds them in the cache, so in the end it lacks
    /// none, unless new ones come faster than they are embedded. It must hold nothing that others wait for.
    ///
    /// # Errors
    /// Whatever else was wrong.
    pub async fn embed_lacking(&self, error: RebuildError) -> Result<(), RebuildError> {
        let RebuildError::Step(StepError::Unembedded(renditions)) = error else { return Err(error) };
        Ok(fill(&mut *self.pool.acquire().await?, &*self.embedder, &renditions).await?)
    }
}

/// Embeds whatever the rows that are to be loaded need, and says how far they may be loaded.
pub async fn embed(run: &Arc<Run>) -> Result<Embedded, RebuildError> {
    let mut embedded = Embedded::new();
    if makes_all_anew(run).await? {
        forget_refusals(&mut *run.pool.acquire().await?, run.embedder.model()).await?;
    }
    for (place, making) in run.making.iter().enumerate() {
        if !making.projection.embeds || making.is_loaded {
            continue;
        }
        let name = making.projection.name;
        let mut conn = run.pool.acquire().await?;
        settle::<RebuildError>(&mut conn, name, making.tables.generation, &making.made_with).await?;
        let serving = checkpoint::positions(&mut conn, name, making.serving.generation).await?;
        drop(conn);
        let is_meant = |org_id: &OrgId| run.order.only_org.is_none_or(|only| only == *org_id);
        let orgs: Vec<_> = serving.into_iter().filter(|(org_id, _)| is_meant(org_id)).collect();
        embedded.extend(orgs.iter().map(|(org_id, through)| ((place, *org_id), *through)));
        run.progress.enter(Phase::Embed, orgs.len() as u64);
        run.for_each(orgs, move |run, (org_id, through)| async move {
            embed_org(&run, &run.making[place], org_id, through).await?;
            run.progress.add(1);
            Ok(())
        })
        .await?;
    }
    Ok(embedded)
}

/// Whether all tables that hold embeddings are made from their first row on, and will serve.
async fn makes_all_anew(run: &Run) -> Result<bool, RebuildError> {
    if run.order.makes_no_successor() {
        return Ok(false);
    }
    let mut conn = run.pool.acquire().await?;
    for projection in registry()?.iter().filter(|projection| projection.embeds) {
        let Some(making) = run.making.iter().find(|making| making.projection.name == projection.name) else {
            return Ok(false);
        };
        let loaded = checkpoint::positions(&mut conn, projection.name, making.tables.generation).await?;
        if making.is_loaded || !loaded.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn embed_org(run: &Run, making: &Making, org_id: OrgId, through: Seq) -> Result<(), RebuildError> {
    let mut conn = run.pool.acquire().await?;
    let mut after = Seq::ZERO;
    while after < through {
        let page = read::events_after(&mut conn, org_id, after, making.projection.families, PAGE).await?;
        let ended = page.through <= after;
        let renditions = renditions(run, making, org_id, page.events)?;
        match Embeddings::look_up(&mut conn, &*run.embedder, &renditions.iter().collect::<Vec<_>>()).await {
            Ok(_) => {}
            Err(Lack::Renditions(missing)) => fill(&mut conn, &*run.embedder, &missing).await?,
            Err(Lack::Database(error)) => return Err(error.into()),
        }
        if ended {
            break;
        }
        after = page.through;
    }
    Ok(())
}

/// What rows made of this page alone would hold: the event that decides about a row in the end is in one of the pages, and
/// decides there too.
fn renditions(
    run: &Run,
    making: &Making,
    org_id: OrgId,
    events: Vec<RecordedEvent>,
) -> Result<Vec<Rendition>, RebuildError> {
    let mut fold = (making.projection.bulk)();
    if making.projection.in_order {
        let read = fold.read(&events).map_err(|(seq, refusal)| RebuildError::Newer { org_id, seq, refusal })?;
        return Ok(read.into_iter().filter_map(|(_, _, wanted)| wanted).collect());
    }
    let mut subjects = BTreeMap::<SubjectId, Vec<RecordedEvent>>::new();
    for recorded in events {
        subjects.entry(recorded.event.subject_id).or_default().push(recorded);
    }
    for (subject_id, events) in subjects {
        for recorded in events {
            let seq = recorded.seq;
            fold.apply(&recorded).map_err(|refusal| RebuildError::Newer { org_id, seq, refusal })?;
        }
        fold.end_subject(Subject { org_id, subject_id }, &run.lookups);
    }
    Ok(fold.renditions())
}

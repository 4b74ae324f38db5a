//! Folding an org in the order of seq, page by page, for projections to which that order matters. Only events of the
//! families that they fold are read, and checked like all others; that none is missing is for those to see who read all.

use ledger::read::{self, Limit};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::{Portion, RebuildError, Run, Task, check, embeddings};
use crate::projection::Subject;
use events::id::Seq;

const PAGE: Limit = Limit { events_max: 2_000, bytes_max: 4 << 20 };

/// Ends early and well if nobody takes the rows any more: the other side knows why.
pub async fn fold(
    run: &Run,
    task: &Task,
    reader: &mut PgConnection,
    sender: mpsc::Sender<Portion>,
) -> Result<(), RebuildError> {
    let org_id = task.org_id;
    let in_order = task.loads.iter().filter(|(place, _)| run.making[*place].projection.in_order);
    for &(place, through) in in_order {
        let projection = &run.making[place].projection;
        let (mut fold, mut after) = ((projection.bulk)(), Seq::ZERO);
        while after < through {
            let mut page = read::events_after(reader, org_id, after, projection.families, PAGE).await?;
            page.events.retain(|recorded| recorded.seq <= through);
            page.events.iter().try_for_each(check)?;
            let read =
                fold.read(&page.events).map_err(|(seq, refusal)| RebuildError::Newer { org_id, seq, refusal })?;
            let wanted: Vec<_> = read.iter().filter_map(|(_, _, wanted)| wanted.clone()).collect();
            let embeddings = embeddings(run, &wanted).await?;
            for (recorded, mut event, wanted) in read {
                if let Some(rendition) = wanted {
                    embeddings.attach(&mut event, rendition.hash);
                }
                fold.apply_read(recorded, event);
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        fold.end_subject(Subject { org_id, subject_id: org_id.subject() }, &run.lookups);
        let (rows, parked) = fold.take(&embeddings(run, &[]).await?);
        if sender.send(Portion { place, rows, parked }).await.is_err() {
            return Ok(());
        }
    }
    let is_alone = task.loads.iter().all(|(place, _)| run.making[*place].projection.in_order);
    if is_alone {
        run.progress.add_events(through_of(task));
    }
    Ok(())
}

fn through_of(task: &Task) -> u64 {
    task.through().get() as u64
}

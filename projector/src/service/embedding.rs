//! Has embedded what steps lack, while nobody waits but the orgs that lack it: they stay in hand meanwhile, and
//! make their steps again afterwards. All of them together, so that an embedder gets many texts at a time, and one in trouble
//! is not besieged.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use sqlx::{PgConnection, query};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Key, Projector, lock};
use crate::{
    advance::StepError,
    embedding::{EmbedderError, Rendition, fill, texts_a_round},
};

/// How long to wait after a fault, longer each time.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Orgs of a projection, and the texts that they lack embeddings of.
struct Lacking {
    keys: Vec<Key>,
    renditions: Vec<Rendition>,
}

/// What waits to be embedded.
pub struct Unembedded {
    sender: mpsc::UnboundedSender<Lacking>,
    receiver: Mutex<mpsc::UnboundedReceiver<Lacking>>,
}

impl Default for Unembedded {
    fn default() -> Self {
        // As bounded as the keys are: each is in hand once at most.
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

impl Unembedded {
    /// The keys stay in hand until their texts are embedded.
    pub fn push(&self, keys: Vec<Key>, renditions: Vec<Rendition>) {
        // The receiver lives as long as this.
        let _ = self.sender.send(Lacking { keys, renditions });
    }
}

impl Projector {
    pub(super) async fn keep_embedding(self: Arc<Self>, shutdown: CancellationToken) {
        let mut receiver = self.unembedded.receiver.lock().await;
        shutdown.run_until_cancelled(self.embed_what_comes(&mut receiver)).await;
    }

    /// Each gets as many texts embedded as the others, so that who lacks many does not hold up who lacks few.
    async fn embed_what_comes(&self, receiver: &mut mpsc::UnboundedReceiver<Lacking>) {
        let (share, mut pause) = (texts_a_round(&*self.embedder), PAUSE_MIN);
        let mut waiting: Vec<Lacking> = Vec::new();
        while let Some(first) = receiver.recv().await {
            waiting.push(first);
            while !waiting.is_empty() {
                waiting.extend(arrived(receiver));
                if let Err(error) = self.embed(&waiting, share).await {
                    self.pause(&waiting, error).await;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    // By then others may have embedded what these lack, and these have come to lack other texts.
                    waiting.extend(arrived(receiver));
                    self.give_back(waiting.drain(..));
                    continue;
                }
                pause = PAUSE_MIN;
                self.give_back(waiting.extract_if(.., |lacking| {
                    lacking.renditions.drain(..share.min(lacking.renditions.len()));
                    lacking.renditions.is_empty()
                }));
            }
        }
    }

    /// They make their steps again.
    fn give_back(&self, waiting: impl Iterator<Item = Lacking>) {
        waiting.flat_map(|lacking| lacking.keys).for_each(|key| self.queue.done(key, true));
    }

    async fn embed(&self, waiting: &[Lacking], share: usize) -> Result<(), EmbedderError> {
        let shares = waiting.iter().flat_map(|lacking| lacking.renditions.iter().take(share));
        let shares: Vec<_> = shares.cloned().collect();
        let mut conn = self.pool.acquire().await?;
        fill(&mut conn, &*self.embedder, &shares).await
    }

    async fn pause(&self, waiting: &[Lacking], error: EmbedderError) {
        let error = StepError::Embedder(error);
        let keys = || waiting.iter().flat_map(|lacking| &lacking.keys);
        keys().for_each(|key| self.fail(*key, &error));
        if !error.is_outage() {
            for projection in keys().map(|key| key.0).collect::<BTreeSet<_>>() {
                // The log says it too, whether or not this works.
                let _ = self.note_pause(self.projections[projection].0.name, &error).await;
            }
        }
    }

    /// For whoever asks for the status. A fault of PostgreSQL itself shows by itself.
    pub(super) async fn note_pause(&self, projection: &str, error: &impl ToString) -> Result<(), sqlx::Error> {
        query!(
            "INSERT INTO ledger.projection_pause (projection, reason, since, tried_at) VALUES ($1, $2, now(), now())
             ON CONFLICT (projection) DO UPDATE SET reason = excluded.reason, tried_at = excluded.tried_at",
            projection,
            error.to_string()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A projection pauses no more when it goes on and nothing of it is in trouble.
    pub(super) async fn end_pauses(&self, conn: &mut PgConnection, behind: &HashSet<Key>) -> Result<(), sqlx::Error> {
        let in_trouble: HashSet<usize> = {
            let mut failing = lock(&self.failing);
            // Of the others somebody else has taken care.
            failing.retain(|key| behind.contains(key));
            failing.iter().map(|key| key.0).collect()
        };
        let gone_on = std::mem::take(&mut *lock(&self.gone_on));
        let at_work = gone_on.difference(&in_trouble).map(|place| self.projections[*place].0.name.to_owned());
        let at_work: Vec<_> = at_work.collect();
        if !at_work.is_empty() {
            query!("DELETE FROM ledger.projection_pause WHERE projection = ANY($1)", &at_work).execute(conn).await?;
        }
        Ok(())
    }
}

/// What waits by now.
fn arrived(receiver: &mut mpsc::UnboundedReceiver<Lacking>) -> impl Iterator<Item = Lacking> {
    std::iter::from_fn(|| receiver.try_recv().ok())
}

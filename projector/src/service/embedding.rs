//! Has embedded what steps lack, while nobody waits but the orgs that lack it: they stay in hand meanwhile, and
//! make their steps again afterwards. One thing at a time, so that an embedder in trouble is not besieged.

use std::{sync::Arc, time::Duration};

use sqlx::query;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Key, Projector};
use crate::{
    advance::StepError,
    embedding::{EmbedderError, Rendition, fill},
};

/// How long to wait after a fault, longer each time.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);

type Lacking = (Vec<Key>, Vec<Rendition>);

/// Orgs of projections, and the texts that they lack embeddings of.
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
        let _ = self.sender.send((keys, renditions));
    }
}

impl Projector {
    pub(super) async fn keep_embedding(self: Arc<Self>, shutdown: CancellationToken) {
        let mut receiver = self.unembedded.receiver.lock().await;
        let embedding = async {
            let mut pause = PAUSE_MIN;
            // What an earlier process has left says nothing about this one.
            let mut is_noted = true;
            while let Some((keys, renditions)) = receiver.recv().await {
                let projection = keys.first().map_or("", |key| self.projections[key.0].0.name);
                let ended = self.embed(&renditions).await;
                match &ended {
                    Ok(()) => {
                        pause = PAUSE_MIN;
                        if is_noted {
                            is_noted = self.end_pause(projection).await.is_err();
                        }
                    }
                    Err(error) => {
                        is_noted |= self.note_pause(projection, error).await.is_ok();
                    }
                }
                let is_embedded = ended.is_ok();
                if let Err(error) = ended {
                    let error = StepError::Embedder(error);
                    keys.iter().for_each(|key| self.fail(*key, &error));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                keys.iter().for_each(|key| self.queue.done(*key, is_embedded));
            }
        };
        shutdown.run_until_cancelled(embedding).await;
    }

    async fn embed(&self, renditions: &[Rendition]) -> Result<(), EmbedderError> {
        let mut conn = self.pool.acquire().await?;
        fill(&mut conn, &*self.embedder, renditions).await
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

    async fn end_pause(&self, projection: &str) -> Result<(), sqlx::Error> {
        query!("DELETE FROM ledger.projection_pause WHERE projection = $1", projection).execute(&self.pool).await?;
        Ok(())
    }
}

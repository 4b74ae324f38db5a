//! The tables of a generation, and how to bring them up to date.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::id::{OrgId, Seq};
use ledger::read;
use sqlx::PgConnection;

use super::RebuildError;
use crate::{
    advance::{Advance, Step, Stepped},
    checkpoint,
    embedding::Embedder,
    generation::Target,
    projection::Lookups,
    registry::Registration,
};

/// How long another process may keep an org without moving it.
const STALL_MAX: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(20);

/// The tables of a generation.
pub struct Tables {
    projection: &'static str,
    /// Its number.
    pub generation: i32,
    /// Folds events into them.
    pub folder: Arc<dyn Advance>,
}

impl Tables {
    /// Those of this number.
    pub fn new(projection: &Registration, target: Target, generation: i32, embedder: Arc<dyn Embedder>) -> Self {
        let folder = (projection.start)(target, embedder);
        Self { projection: projection.name, generation, folder }
    }

    /// Folds an org's events up to `limit`, or all that there are now. Where another process does it, waits for
    /// that one. Ends where an embedding is missing: see [`Run::embed_lacking`](super::Run::embed_lacking).
    pub async fn catch_up(
        &self,
        conn: &mut PgConnection,
        org_id: OrgId,
        limit: Option<Seq>,
        lookups: &Lookups,
    ) -> Result<(), RebuildError> {
        let goal = match limit {
            Some(limit) => limit,
            None => read::head(conn, org_id).await?.unwrap_or(Seq::ZERO),
        };
        let mut stood = (Seq::ZERO, Instant::now());
        loop {
            for Stepped { step, .. } in self.folder.advance(conn, &[org_id], limit, lookups, None).await? {
                match step {
                    Step::Moved | Step::Left => {}
                    Step::CaughtUp => return Ok(()),
                    Step::Stopped { seq, refusal } => return Err(RebuildError::Newer { org_id, seq, refusal }),
                    Step::TakenByAnother => {
                        let at = self.position(conn, org_id).await?;
                        if at >= goal {
                            return Ok(());
                        }
                        if at != stood.0 {
                            stood = (at, Instant::now());
                        } else if stood.1.elapsed() > STALL_MAX {
                            return Err(RebuildError::Stalled { projection: self.projection, org_id, at });
                        }
                        tokio::time::sleep(WAIT).await;
                    }
                }
            }
        }
    }

    /// Where an org stands.
    pub async fn position(&self, conn: &mut PgConnection, org_id: OrgId) -> Result<Seq, RebuildError> {
        let at = checkpoint::position(conn, self.projection, self.generation, org_id).await?;
        Ok(at.unwrap_or(Seq::ZERO))
    }
}

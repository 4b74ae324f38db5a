//! The service rebuilds by itself what an older version of a fold has made.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{LOOK_INTERVAL, Projector};
use crate::{
    generation::Generations,
    rebuild::{Order, Progress, Rebuild, RebuildError},
    registry::Registration,
};

/// How long the service waits after a rebuild that failed: it may have cost much.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

impl Projector {
    /// Rebuilds what an older version of a fold has made; of several processes, one.
    pub(super) async fn keep_rebuilding(self: Arc<Self>, shutdown: CancellationToken) {
        if !self.rebuilds {
            return;
        }
        let mut told = HashSet::new();
        let rebuilding = async {
            loop {
                for projection in self.outdated().await.unwrap_or_default() {
                    let Err(error) = self.rebuild(projection).await else { continue };
                    if error.is_taken() {
                        continue;
                    }
                    if told.insert((projection.name, error.to_string())) {
                        tracing::warn!(projection = projection.name, %error, "cannot rebuild at the moment; trying again");
                    }
                    sleep(RETRY_INTERVAL).await;
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        shutdown.run_until_cancelled(rebuilding).await;
    }

    async fn outdated(&self) -> Result<Vec<Registration>, sqlx::Error> {
        let generations = Generations::read(&mut *self.pool.acquire().await?).await?;
        let projections = self.projections.iter().map(|(projection, _)| *projection);
        Ok(projections.filter(|projection| generations.is_outdated(projection.checkpoint())).collect())
    }

    async fn rebuild(&self, projection: Registration) -> Result<(), RebuildError> {
        let rebuild = Rebuild::of(vec![projection], self.database.clone()).embeds_with(self.embedder.clone());
        let report = rebuild.run(&Order::default(), &Progress::default(), |_| {}).await?;
        for rebuilt in report.projections {
            let changed: u64 = rebuilt.tables.iter().map(|table| table.differences()).sum();
            tracing::info!(
                projection = projection.name,
                version = projection.version,
                events = report.events,
                rows_changed = changed,
                paused_ms = rebuilt.paused_ms,
                locked_ms = rebuilt.locked_ms,
                "rebuilt by this version's fold; its tables serve now"
            );
        }
        Ok(())
    }
}

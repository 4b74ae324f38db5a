//! The workers: each takes orgs of a projection from the queue and lets them make a step together.

use std::sync::{Arc, PoisonError};

use ledger::connection::within;
use sqlx::{Postgres, pool::PoolConnection};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::{Key, Projector, STEP_MAX, lock};
use crate::{
    advance::{Step, StepError, Stepped, keep_plans},
    queue::Group,
};

/// How long a worker keeps its connection.
const CONN_KEPT_MAX: Duration = Duration::from_secs(2);
/// Orgs that share a step.
const ORGS_MAX: usize = 64;

impl Projector {
    pub(super) async fn keep_working(self: Arc<Self>, shutdown: CancellationToken) {
        // Kept for a while, because a pool asks a connection whether it lives each time it is taken and given back.
        let mut conn = None;
        let mut kept_until = Instant::now();
        while let Some(group) = shutdown.run_until_cancelled(self.next()).await {
            if Instant::now() >= kept_until {
                conn = None;
                kept_until = Instant::now() + CONN_KEPT_MAX;
            }
            self.work(group.keys(), &mut conn).await;
        }
    }

    /// Orgs of one projection.
    async fn next(&self) -> Group<'_, Key> {
        self.queue.next(ORGS_MAX, |key| lock(&self.alone).contains(key), |first, key| first.0 == key.0).await
    }

    /// Makes a step for all of these at once, or, where that fails, one for each.
    async fn work(&self, keys: &[Key], conn: &mut Option<PoolConnection<Postgres>>) {
        let mut groups = vec![keys.to_vec()];
        while let Some(keys) = groups.pop() {
            let was_kept = conn.is_some();
            match self.step(&keys, conn).await {
                Ok(steps) => {
                    for Stepped { org_id, step, read } in steps {
                        if let Some(read) = read {
                            lock(&self.read).add(org_id, read);
                        }
                        let key = (keys[0].0, org_id);
                        let again = self.go_on(key, step);
                        self.queue.done(key, again);
                    }
                }
                Err(StepError::Unembedded(renditions)) => self.unembedded.push(keys, renditions),
                Err(error @ StepError::OtherEmbedder(_)) => {
                    // The log says it too, whether or not this works. It is as true of each of them.
                    let _ = self.note_pause(self.projections[keys[0].0].0.name, &error).await;
                    for key in keys {
                        self.fail(key, &error);
                        self.queue.done(key, false);
                    }
                }
                Err(error) => {
                    if !matches!(error, StepError::Together) {
                        *conn = None;
                    }
                    if keys.len() > 1 && !error.is_outage() {
                        groups.extend(keys.into_iter().map(|key| vec![key]));
                        continue;
                    }
                    for key in keys {
                        self.fail(key, &error);
                        // A server that came back has forgotten the connections that were kept.
                        self.queue.done(key, was_kept && error.is_outage());
                    }
                }
            }
        }
    }

    /// `keys` are of one projection.
    async fn step(&self, keys: &[Key], conn: &mut Option<PoolConnection<Postgres>>) -> Result<Vec<Stepped>, StepError> {
        let lookups = self.lookups.read().unwrap_or_else(PoisonError::into_inner).clone();
        let conn = match conn {
            Some(conn) => conn,
            none => {
                let conn = none.insert(self.pool.acquire().await?);
                keep_plans(conn).await?;
                conn
            }
        };
        let (projection, orgs) = (keys[0].0, keys.iter().map(|(_, org_id)| *org_id).collect::<Vec<_>>());
        within(STEP_MAX, self.projections[projection].1.advance(conn, &orgs, None, &lookups, self.recent.as_deref()))
            .await
    }

    /// Whether the key goes back into the queue.
    fn go_on(&self, key: Key, step: Step) -> bool {
        let (projection, org_id) = (self.projections[key.0].0.name, key.1);
        if lock(&self.failing).remove(&key) {
            tracing::info!(projection, org = %org_id, "the projection goes on");
        }
        if self.projections[key.0].0.embeds && matches!(step, Step::Moved | Step::CaughtUp) {
            lock(&self.gone_on).insert(key.0);
        }
        if matches!(step, Step::Moved) {
            lock(&self.alone).insert(key);
        } else {
            lock(&self.alone).remove(&key);
        }
        match step {
            Step::Moved | Step::Left => true,
            Step::CaughtUp | Step::TakenByAnother => false,
            Step::Stopped { seq, refusal } => {
                lock(&self.stopped).insert(key);
                tracing::error!(
                    projection, org = %org_id, %seq, %refusal,
                    "the projection of this org stops before an event that only a newer runledger can fold; start that one"
                );
                false
            }
        }
    }

    /// A fault of the system: the next look tries again.
    pub(super) fn fail(&self, key: Key, error: &StepError) {
        lock(&self.alone).insert(key);
        let (projection, org_id) = (self.projections[key.0].0.name, key.1);
        if error.is_outage() {
            // That the server is away is said by the look, once, if it is still away then.
            tracing::debug!(projection, org = %org_id, %error, "the connection was lost; the next look tries again");
        } else if lock(&self.failing).insert(key) {
            tracing::error!(projection, org = %org_id, %error, "the projection pauses and tries again until it works");
        }
    }
}

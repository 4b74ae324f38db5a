//! A database of a case's own: made from the migrated one, dropped when the case is through with it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use events::id::SHARED_ORG;
use ledger::connection::{Database, Role};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::{
    process::Process,
    workload::{EVENTS_PER_RUN, STEPS_PER_RUN, Workload},
};

/// The slowest that anything may be before it is taken to stand still: events a second.
const RATE_MIN: f64 = 500.0;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A database of one's own.
#[derive(Debug)]
pub struct CaseDatabase {
    /// Where, with credentials.
    pub url: String,
    name: String,
}

impl CaseDatabase {
    pub(super) async fn create(conn: &mut PgConnection, template_url: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("bench_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (server, template) = template_url.rsplit_once('/').context("the database's URL has no path")?;
        // By its files: nothing of a copy goes through the log or the buffers.
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        conn.execute(AssertSqlSafe(create)).await?;
        Ok(Self { url: format!("{server}/{name}"), name })
    }

    pub(super) async fn drop(self, conn: &mut PgConnection) -> Result<()> {
        conn.execute(AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name))).await?;
        Ok(())
    }

    /// A connection as the owner.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(Database::new(&self.url, Role::Owner)?.connect().await?)
    }

    /// How many events the ledger holds, but for that of the shared org, which the system registers by itself.
    pub async fn appended(conn: &mut PgConnection) -> Result<u64> {
        let appended = "SELECT coalesce(sum(size), 0)::bigint FROM ledger.head WHERE org_id <> $1";
        Ok(sqlx::query_scalar::<_, i64>(appended).bind(SHARED_ORG).fetch_one(conn).await? as u64)
    }

    /// How many events the tables of runs and steps show: a checkpoint moves in the transaction that writes the rows.
    pub async fn visible(conn: &mut PgConnection) -> Result<u64> {
        let visible = "SELECT coalesce(sum(seq), 0)::bigint FROM ledger.checkpoint
             JOIN ledger.generation USING (projection, generation)
             WHERE projection = 'user_workflow_run' AND place = 'public' AND org_id <> $1";
        Ok(sqlx::query_scalar::<_, i64>(visible).bind(SHARED_ORG).fetch_one(conn).await? as u64)
    }

    /// Waits until `count` says that there are so many events, as long as these processes live. Looks a hundred times a
    /// second at a few small rows.
    pub async fn wait_for(
        &self,
        events: u64,
        what: &str,
        processes: &mut [&mut Process],
        count: impl AsyncFn(&mut PgConnection) -> Result<u64>,
    ) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs_f64(60.0 + events as f64 / RATE_MIN);
        let mut conn = self.connect().await?;
        loop {
            let counted = count(&mut conn).await?;
            if counted >= events {
                return Ok(());
            }
            for process in processes.iter_mut() {
                process.ensure_alive()?;
            }
            ensure!(Instant::now() < deadline, "only {counted} of {events} events are {what}");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Holds the tables to the workload: every run, every step, each completed.
    pub async fn check_rows(&self, workload: &Workload) -> Result<()> {
        let mut conn = self.connect().await?;
        let rows = "SELECT (SELECT count(*) FROM user_workflow_run WHERE status = 'completed' AND flags = '{}'),
                    (SELECT count(*) FROM user_workflow_run_step WHERE status = 'completed' AND flags = '{}')";
        let counts = sqlx::query(rows).fetch_one(&mut conn).await?;
        let (runs, steps): (i64, i64) = (counts.try_get(0)?, counts.try_get(1)?);
        let expected = (workload.len() / EVENTS_PER_RUN) as i64;
        let expected = (expected, expected * STEPS_PER_RUN as i64);
        ensure!((runs, steps) == expected, "{runs} runs and {steps} steps are complete, not {expected:?}");
        Ok(())
    }
}

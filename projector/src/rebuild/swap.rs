//! The swap: catch up, stop the projection for a moment, fold what came meanwhile, exchange the tables.
//!
//! Readers see the old tables or the new ones, and rows of the new ones only where these are complete to their
//! snapshot: the last rows are committed while the projection stands still, and the exchange follows when nobody
//! reads by a snapshot from before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, query, query_scalar};
use tokio::time::sleep;

use super::{Making, Phase, RebuildError, Run};
use crate::{
    checkpoint::{self, Behind},
    generation::PAUSE,
};

/// Events that may be folded while the projection stands still.
const PAUSED_EVENTS_MAX: i64 = 500;
/// How long the projection stands still for readers of older snapshots.
const PAUSED_FOR_READERS_MAX: Duration = Duration::from_millis(50);
/// How long a swap waits for each of its locks, and for all; others wait behind it for as long.
const LOCK_TIMEOUTS: &str = "SET LOCAL lock_timeout = '60ms'; SET LOCAL statement_timeout = '90ms'";
const WAIT: Duration = Duration::from_millis(100);

/// How long a swap held others up, in milliseconds, from the first request for a lock to the last release.
pub struct Swapped {
    /// The projection.
    pub paused_ms: f64,
    /// Readers.
    pub locked_ms: f64,
}

/// How an attempt ended.
enum Attempt {
    Swapped(Swapped),
    /// There is too much to fold while everybody waits, or somebody holds a lock.
    Busy,
    Reader(RebuildError),
}

/// Lets the tables in the making serve. `lease` is the connection that holds the lease.
pub async fn swap(run: &Arc<Run>, lease: &mut PgConnection, place: usize) -> Result<Swapped, RebuildError> {
    let making = &run.making[place];
    let deadline = Instant::now() + run.order.wait_max;
    wait_for_readers(run, place, deadline).await?;
    run.progress.enter(Phase::Swap, 0);
    loop {
        query!("SELECT ledger.wait_for_vacuum($1)", making.projection.name).execute(&run.pool).await.or_else(busy)?;
        catch_up(run, place).await?;
        let late = match attempt(run, lease, making).await {
            Ok(Attempt::Swapped(swapped)) => {
                finish(run, lease, making).await?;
                return Ok(swapped);
            }
            Ok(Attempt::Busy) => RebuildError::Busy(making.projection.name),
            Ok(Attempt::Reader(reader)) => reader,
            // The projection goes on already; an embedder may take long.
            Err(error) => {
                run.embed_lacking(error).await?;
                RebuildError::Busy(making.projection.name)
            }
        };
        if Instant::now() > deadline {
            return Err(late);
        }
        sleep(WAIT).await;
    }
}

/// Catches up, and waits for transactions that began before: to their snapshots, rows would be missing or
/// stale after the swap. Keeps up meanwhile, for those that begin now.
async fn wait_for_readers(run: &Arc<Run>, place: usize, deadline: Instant) -> Result<(), RebuildError> {
    run.progress.enter(Phase::WaitForReaders, 0);
    catch_up(run, place).await?;
    let mut conn = run.pool.acquire().await?;
    let caught_up = now(&mut conn).await?;
    while let Some(reader) = reader_since(&mut conn, caught_up).await? {
        if Instant::now() > deadline {
            return Err(reader);
        }
        sleep(WAIT).await;
        catch_up(run, place).await?;
    }
    Ok(())
}

async fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(conn).await
}

/// Somebody who reads by a snapshot from before that moment.
async fn reader_since(conn: &mut PgConnection, moment: DateTime<Utc>) -> Result<Option<RebuildError>, sqlx::Error> {
    let reader = query!(
        r#"SELECT pid AS "pid!", coalesce(application, '') AS "application!", to_char(since, 'HH24:MI:SS TZ') AS "since!"
           FROM ledger.readers_since($1) LIMIT 1"#,
        moment
    );
    let reader = reader.fetch_optional(conn).await?;
    Ok(reader.map(|it| RebuildError::Reader { pid: it.pid, application: it.application, since: it.since }))
}

async fn catch_up(run: &Arc<Run>, place: usize) -> Result<(), RebuildError> {
    let making = &run.making[place];
    let generation = (making.projection.name, making.tables.generation);
    let behind = checkpoint::behind(&mut *run.pool.acquire().await?, &[generation]).await?;
    // New texts may come as fast as they are embedded, so it ends with those that there are now.
    let limit = |behind: &Behind| making.projection.embeds.then_some(behind.head);
    let orgs = behind.iter().map(|behind| (behind.org_id, limit(behind))).collect();
    run.for_each(orgs, move |run, (org_id, limit)| async move {
        run.catch_up(&run.making[place].tables, org_id, limit).await
    })
    .await
}

/// Stops the projection, for whatever comes of it, and lets it go on.
async fn attempt(run: &Run, lease: &mut PgConnection, making: &Making) -> Result<Attempt, RebuildError> {
    let name = making.projection.name;
    let started = Instant::now();
    query("SET lock_timeout = '2s'").execute(&mut *lease).await?;
    let paused = query!("SELECT pg_advisory_lock($1, hashtext($2))", PAUSE, name).execute(&mut *lease).await;
    query("RESET lock_timeout").execute(&mut *lease).await?;
    match paused {
        Err(error) if is_lock_timeout(&error) => return Ok(Attempt::Busy),
        paused => paused?,
    };
    let attempt = while_paused(run, lease, making).await;
    query_scalar!("SELECT pg_advisory_unlock($1, hashtext($2))", PAUSE, name).fetch_one(&mut *lease).await?;
    match attempt? {
        Attempt::Swapped(swapped) => Ok(Attempt::Swapped(Swapped { paused_ms: ms(started), ..swapped })),
        attempt => Ok(attempt),
    }
}

async fn while_paused(run: &Run, lease: &mut PgConnection, making: &Making) -> Result<Attempt, RebuildError> {
    let name = making.projection.name;
    let behind = checkpoint::behind(lease, &[(name, making.tables.generation)]).await?;
    if behind.iter().map(checkpoint::Behind::events).sum::<i64>() > PAUSED_EVENTS_MAX {
        return Ok(Attempt::Busy);
    }
    for behind in behind {
        making.tables.catch_up(lease, behind.org_id, Some(behind.head), &run.lookups).await?;
    }
    let complete = now(lease).await?;
    let waited = Instant::now();
    while let Some(reader) = reader_since(lease, complete).await? {
        if waited.elapsed() > PAUSED_FOR_READERS_MAX {
            return Ok(Attempt::Reader(reader));
        }
        sleep(Duration::from_millis(2)).await;
    }
    let locked = Instant::now();
    match exchange(lease, making).await {
        Ok(()) => Ok(Attempt::Swapped(Swapped { paused_ms: 0.0, locked_ms: ms(locked) })),
        Err(error) if is_lock_timeout(&error) => Ok(Attempt::Busy),
        Err(error) => Err(RebuildError::of_refusal(error)),
    }
}

async fn exchange(lease: &mut PgConnection, making: &Making) -> Result<(), sqlx::Error> {
    let name = making.projection.name;
    let mut tx = lease.begin().await?;
    sqlx::raw_sql(LOCK_TIMEOUTS).execute(&mut *tx).await?;
    if let Err(error) = query!("SELECT ledger.lock_for_swap($1)", name).execute(&mut *tx).await {
        // Not left to the drop: everybody would wait until this connection is used again.
        tx.rollback().await?;
        return Err(error);
    }
    query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    query!("SELECT ledger.swap_generation($1, $2)", name, making.tables.generation).execute(&mut *tx).await?;
    tx.commit().await
}

async fn finish(run: &Run, lease: &mut PgConnection, making: &Making) -> Result<(), RebuildError> {
    if !run.order.keep_old {
        query!("SELECT ledger.drop_generation($1, 'replaced')", making.projection.name).execute(lease).await?;
    }
    Ok(())
}

/// Locks that cannot be had are waited for again.
fn busy(error: sqlx::Error) -> Result<sqlx::postgres::PgQueryResult, sqlx::Error> {
    if is_lock_timeout(&error) { Ok(Default::default()) } else { Err(error) }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// Whether a lock could not be had in time.
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    const QUERY_CANCELED: &str = "57014";
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == LOCK_NOT_AVAILABLE || code == QUERY_CANCELED)
}

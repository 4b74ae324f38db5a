//! A ledger process and a backlog: from its start until the last event is committed.

use std::time::Instant;

use anyhow::Result;

use crate::{
    arena::{Arena, Backlog},
    database::CaseDatabase,
    measurement::{Goal, Ratio, Results},
    process::Process,
};

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let backlog = arena.backlog().await?;
    let mut ratio = Ratio::default();
    for _ in 0..arena.size.rounds {
        let copied = copy_rate(arena, &backlog).await?;
        let drained = drain_rate(arena, &backlog).await?;
        eprintln!("  {drained:.0} events/s, COPY {copied:.0}");
        ratio.push(drained, copied);
    }
    let goal = Goal::AtLeast { target: 0.7, stretch: 0.9 };
    results.measurements.push(ratio.measurement("ledger", "ledger alone / COPY", "COPY", goal));
    Ok(())
}

/// Events a second of the limit: COPY of the backlog's rows.
pub async fn copy_rate(arena: &mut Arena, backlog: &Backlog) -> Result<f64> {
    let database = arena.database().await?;
    arena.settle().await?;
    let took = backlog.rows.load(&database).await?;
    arena.drop(database).await?;
    Ok(backlog.workload.len_with_registrations() as f64 / took.as_secs_f64())
}

async fn drain_rate(arena: &mut Arena, backlog: &Backlog) -> Result<f64> {
    let database = arena.database().await?;
    arena.settle().await?;
    let events = backlog.workload.len_with_registrations();
    let began = Instant::now();
    let mut ledger = Process::start("ledger", &database, &backlog.account)?;
    database.wait_for(events, "appended", &mut [&mut ledger], CaseDatabase::appended).await?;
    let took = began.elapsed();
    ledger.stop().await?;
    arena.drop(database).await?;
    Ok(events as f64 / took.as_secs_f64())
}

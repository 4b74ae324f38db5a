//! `runledger verify`, the whole command.

use anyhow::Result;

use crate::{
    arena::Arena,
    limits,
    measurement::{Goal, Ratio, Results},
    process,
};

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (backlog, database) = (arena.backlog().await?, arena.drained().await?);
    let events = backlog.workload.len_with_registrations();
    let mut ratio = Ratio::default();
    for _ in 0..arena.size.rounds {
        let limit = limits::read::read(&database, events).await?;
        let (took, _) = process::run(&["verify"], &database, &backlog.account).await?;
        let (verified, limit) = (events as f64 / took.as_secs_f64(), events as f64 / limit.as_secs_f64());
        eprintln!("  {verified:.0} events/s, reading in order {limit:.0}");
        ratio.push(verified, limit);
    }
    let goal = Goal::AtLeast { target: 0.8, stretch: 0.95 };
    results.measurements.push(ratio.measurement("verify", "verify / reading in order", "reading", goal));
    Ok(())
}

//! `runledger rebuild user_workflow_run`, the whole command: read, leaf hashes checked, folded, loaded, indexed, compared
//! with the serving rows one by one, exchanged.

use anyhow::Result;

use crate::{
    arena::Arena,
    limits,
    measurement::{Goal, Ratio, Results},
    process,
};

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (backlog, database) = (arena.backlog().await?, arena.drained().await?);
    let events = backlog.workload.len_with_registrations() as f64;
    let mut ratio = Ratio::default();
    for _ in 0..arena.size.rounds {
        arena.settle().await?;
        let limit = limits::rebuild::rebuild(&database, &backlog.workload).await?;
        arena.settle().await?;
        let command = ["rebuild", "user_workflow_run", "--drop-old"];
        let (took, _) = process::run(&command, &database, &backlog.account).await?;
        database.check_rows(&backlog.workload).await?;
        let (rebuilt, limit) = (events / took.as_secs_f64(), events / limit.as_secs_f64());
        eprintln!("  {rebuilt:.0} events/s, INSERT … SELECT {limit:.0}");
        ratio.push(rebuilt, limit);
    }
    let goal = Goal::AtLeast { target: 1.0, stretch: 1.5 };
    let title = "rebuild of runs and steps, compared and swapped / INSERT … SELECT";
    results.measurements.push(ratio.measurement("rebuild", title, "INSERT … SELECT", goal));
    Ok(())
}

//! A ledger process, a projector process and a backlog: from their start until every run and step can be read.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::ledger::copy_rate;
use crate::{
    arena::{Arena, Backlog},
    database::CaseDatabase,
    limits::naive,
    measurement::{Goal, Measurement, Part, Ratio, Results, Samples},
    process::Process,
};

/// So many of the backlog's events are enough to know the naive loop's pace.
const NAIVE_EVENTS: u64 = 10_000;

/// What a drain took.
pub struct Drained {
    /// Until all was visible.
    pub took: Duration,
    /// The ledger's peak resident memory.
    pub ledger_mib: f64,
    /// The projector's.
    pub projector_mib: f64,
}

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let backlog = arena.backlog().await?;
    let (mut of_copy, mut of_naive) = (Ratio::default(), Ratio::default());
    let (mut ledger_mib, mut projector_mib) = (Samples::default(), Samples::default());
    for _ in 0..arena.size.rounds {
        let copied = copy_rate(arena, &backlog).await?;
        let database = arena.database().await?;
        arena.settle().await?;
        let drained = drain(&database, &backlog).await?;
        arena.drop(database).await?;
        let visible = backlog.workload.len_with_registrations() as f64 / drained.took.as_secs_f64();
        let naive = naive_rate(arena, &backlog).await?;
        eprintln!("  {visible:.0} events/s, COPY {copied:.0}, naive {naive:.0}");
        of_copy.push(visible, copied);
        of_naive.push(visible, naive);
        ledger_mib.push(drained.ledger_mib);
        projector_mib.push(drained.projector_mib);
    }
    let goal = Goal::AtLeast { target: 0.45, stretch: 0.6 };
    results.measurements.push(of_copy.measurement("visible", "ledger + projector, all visible / COPY", "COPY", goal));
    let goal = Goal::AtLeast { target: 25.0, stretch: 40.0 };
    results.measurements.push(of_naive.measurement("naive", "the same / naive loop", "naive", goal));
    results.measurements.push(memory(ledger_mib, projector_mib));
    Ok(())
}

/// Runs both services until all of the backlog is visible, and proves it.
pub async fn drain(database: &CaseDatabase, backlog: &Backlog) -> Result<Drained> {
    let events = backlog.workload.len_with_registrations();
    let began = Instant::now();
    let mut ledger = Process::start("ledger", database, &backlog.account)?;
    let mut projector = Process::start("projector", database, &backlog.account)?;
    let mut both = [&mut ledger, &mut projector];
    database.wait_for(events, "appended", &mut both, CaseDatabase::appended).await?;
    database.wait_for(events, "visible", &mut both, CaseDatabase::visible).await?;
    let took = began.elapsed();
    let (ledger_mib, projector_mib) = (ledger.peak_mib()?, projector.peak_mib()?);
    ledger.stop().await?;
    projector.stop().await?;
    database.check_rows(&backlog.workload).await?;
    Ok(Drained { took, ledger_mib, projector_mib })
}

async fn naive_rate(arena: &mut Arena, backlog: &Backlog) -> Result<f64> {
    let database = arena.database().await?;
    arena.settle().await?;
    let events = NAIVE_EVENTS.min(backlog.workload.len() / 20);
    let rate = naive::rate(&database, backlog, events).await?;
    arena.drop(database).await?;
    Ok(rate)
}

fn memory(ledger: Samples, projector: Samples) -> Measurement {
    let (_, ledger_max) = ledger.spread();
    let (_, projector_max) = projector.spread();
    Measurement {
        row: "memory".to_owned(),
        title: "peak resident with the backlog waiting, the larger of the two".to_owned(),
        unit: "MiB",
        samples: [ledger_max.max(projector_max)].into_iter().collect(),
        goal: Some(Goal::AtMost { target: 256.0, stretch: 128.0 }),
        parts: vec![
            Part { name: "ledger", unit: "MiB", samples: ledger },
            Part { name: "projector", unit: "MiB", samples: projector },
        ],
    }
}

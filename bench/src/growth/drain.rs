//! Draining events into databases that hold something already.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    arena::{Account, Arena},
    database::CaseDatabase,
    measurement::{Curve, Goal, Measurement, Part, Results, Samples},
    process::Process,
};

/// What a drain took: until all was appended, and until all was visible.
#[derive(Clone, Copy)]
pub struct Took {
    pub appended: Duration,
    pub visible: Duration,
}

/// Runs so many ledgers and projectors until all `events`, with those that were there before, are visible. Whoever
/// starts needs to connect and to take its leases, so the cost is from the first of the new events on.
pub async fn drain(
    arena: &mut Arena,
    database: &CaseDatabase,
    account: &Account,
    events: u64,
    processes: usize,
) -> Result<Took> {
    arena.settle().await?;
    let mut conn = database.connect().await?;
    let before = CaseDatabase::appended(&mut conn).await?;
    let mut started = Vec::new();
    for command in ["ledger", "projector"] {
        for _ in 0..processes {
            started.push(Process::start(command, database, account)?);
        }
    }
    let mut all: Vec<&mut Process> = started.iter_mut().collect();
    database.wait_for(before + 1, "appended", &mut all, CaseDatabase::appended).await?;
    let began = Instant::now();
    database.wait_for(events, "appended", &mut all, CaseDatabase::appended).await?;
    let appended = began.elapsed();
    database.wait_for(events, "visible", &mut all, CaseDatabase::visible).await?;
    let visible = began.elapsed();
    for process in started {
        process.stop().await?;
    }
    Ok(Took { appended, visible })
}

/// A curve of costs in microseconds an event, and the row that holds its last point to its first.
pub fn push_costs(
    results: &mut Results,
    (row, title, grows): (&str, &str, &'static str),
    points: &[(f64, f64)],
    growth_max: f64,
    mut parts: Vec<Part>,
) {
    let curve = points.iter().map(|(size, cost)| (*size, [*cost].into_iter().collect())).collect();
    let (row, unit) = (row.to_owned(), "µs an event");
    results.curves.push(Curve { row: row.clone(), title: title.to_owned(), grows, unit, points: curve });
    let costs = || points.iter().map(|(_, cost)| *cost);
    let growth = costs().next_back().unwrap_or(f64::NAN) / costs().next().unwrap_or(f64::NAN);
    parts.insert(0, Part { name: "cost, from the first size to the last", unit, samples: costs().collect() });
    results.measurements.push(Measurement {
        row,
        title: format!("{title}, from the first size to the last"),
        unit: "×",
        samples: [growth].into_iter().collect(),
        goal: Some(Goal::AtMost { target: growth_max, stretch: 1.0 }),
        parts,
    });
}

/// A value that was measured once.
pub fn once(value: f64) -> Samples {
    [value].into_iter().collect()
}

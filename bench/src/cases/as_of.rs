//! A run of 200 events as it was at times all over its life: the library call behind `runs show --as-of`, as its org's
//! tenant. One question after the other; nobody waits behind a slow one, so the time of each is its latency.

use std::time::Instant;

use anyhow::{Context, Result};
use chrono::TimeDelta;
use events::id::RunId;
use hdrhistogram::Histogram;
use ledger::connection::{Database, Role};
use projector::history::{self, Point};

use super::latency::{millis, new_histogram};
use crate::{
    arena::Arena,
    database::CaseDatabase,
    long_run::long_run,
    measurement::{Goal, Measurement, Part, Results, Samples},
    process::Process,
};

const EVENTS: u64 = 200;
const INTERVAL: TimeDelta = TimeDelta::seconds(1);

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (backlog, database) = (arena.backlog().await?, arena.drained().await?);
    let org_id = backlog.workload.orgs()[0];
    let run_id = RunId::generate();
    let events = long_run(org_id, run_id, EVENTS, INTERVAL)?;
    let before = CaseDatabase::appended(&mut database.connect().await?).await?;
    let started_at = events[0].occurred_at;
    // Through a stream of its own: the backlog stays what it is.
    let account = arena.account().await?;
    account.publish(events.into_iter().map(Ok)).await?;
    let mut ledger = Process::start("ledger", &database, &account)?;
    let all = before + EVENTS;
    database.wait_for(all, "appended", &mut [&mut ledger], CaseDatabase::appended).await?;
    ledger.stop().await?;

    let questions = if arena.size.short { 300 } else { 2_000 };
    let mut conn = Database::new(&database.url, Role::Reader)?.of_org(org_id).connect().await?;
    let (mut p50, mut p99) = (Samples::default(), Samples::default());
    for _ in 0..arena.size.rounds {
        let mut histogram: Histogram<u64> = new_histogram()?;
        for question in 0..questions {
            let as_of = started_at + INTERVAL * (question * 37 % EVENTS as i32);
            let asked = Instant::now();
            let point = Point { as_of: Some(as_of), known_at: None };
            let [run] = history::run_at(&mut conn, org_id, run_id, [point]).await?;
            histogram.saturating_record(asked.elapsed().as_micros() as u64);
            run.context("the run is not there as of a time in its life")?;
        }
        p50.push(millis(&histogram, 0.5));
        p99.push(millis(&histogram, 0.99));
    }
    results.measurements.push(Measurement {
        row: "as-of".to_owned(),
        title: "as-of of a run of 200 events, p99".to_owned(),
        unit: "ms",
        samples: p99,
        goal: Some(Goal::AtMost { target: 10.0, stretch: 4.0 }),
        parts: vec![Part { name: "p50", unit: "ms", samples: p50 }],
    });
    Ok(())
}

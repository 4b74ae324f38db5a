//! A run of 200 events as it was at times all over its life: the library call behind `runs show --as-of`, as its org's
//! tenant. One question after the other; nobody waits behind a slow one, so the time of each is its latency.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::TimeDelta;
use events::{
    Event,
    id::{RunId, StepId},
    payload::{RunStarted, StepCompleted, StepStarted, value::Json},
};
use hdrhistogram::Histogram;
use ledger::connection::{Database, Role};
use projector::history::{self, Point};
use serde_json::json;

use super::latency::{millis, new_histogram};
use crate::{
    arena::Arena,
    database::CaseDatabase,
    measurement::{Goal, Measurement, Part, Results, Samples},
    process::Process,
};

const EVENTS: i64 = 200;
const INTERVAL: TimeDelta = TimeDelta::seconds(1);

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (backlog, database) = (arena.backlog().await?, arena.drained().await?);
    let org_id = backlog.workload.orgs()[0];
    let run_id = RunId::generate();
    let events = run_of(org_id, run_id)?;
    let before = CaseDatabase::appended(&mut database.connect().await?).await?;
    let started_at = events[0].occurred_at;
    // Through a stream of its own: the backlog stays what it is.
    let account = arena.account().await?;
    account.publish(events.into_iter().map(Ok)).await?;
    let mut ledger = Process::start("ledger", &database, &account)?;
    let all = before + EVENTS as u64;
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

/// A start, and steps that begin and end.
fn run_of(org_id: events::id::OrgId, run_id: RunId) -> Result<Vec<Event>> {
    let begun = events::time::cut(events::time::now() - INTERVAL * EVENTS as i32 - Duration::from_secs(60));
    let mut step_id = StepId::generate();
    let mut told = Vec::new();
    for number in 0..EVENTS {
        let data = Some(Json::of(&json!({ "screen": "member verified, plan active. ".repeat(24) }))?);
        let mut event = match number {
            0 => Event::new(org_id, run_id.subject(), "/portal-runner", &RunStarted::default())?,
            number if number % 2 == 1 => {
                step_id = StepId::generate();
                let started = StepStarted {
                    step_id,
                    attempt: 0,
                    node_id: None,
                    step_number: Some(number as i32 / 2 + 1),
                    input_data: data,
                    metadata: None,
                };
                Event::new(org_id, run_id.subject(), "/portal-runner", &started)?
            }
            _ => {
                let completed = StepCompleted { step_id, attempt: 0, output_data: data };
                Event::new(org_id, run_id.subject(), "/portal-runner", &completed)?
            }
        };
        event.occurred_at = begun + INTERVAL * number as i32;
        event.set_sequence(number + 1);
        told.push(event);
    }
    Ok(told)
}

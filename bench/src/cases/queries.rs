//! Questions of tenants under row-level security, a million runs of 20 orgs standing there: pages by every filter, the
//! first and the thousandth, a run of 50 steps, runs by what their context says. The library calls behind `runs list` and
//! `runs show`, each answer read whole. One question after the other, of changing orgs.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use events::id::{OrgId, RunId};
use hdrhistogram::Histogram;
use ledger::connection::{Database, Role};
use projector::query::{self, RunFilter, RunPlace};
use serde_json::{json, value::to_raw_value};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::latency::{millis, new_histogram};
use crate::{
    arena::Arena,
    database::CaseDatabase,
    measurement::{Goal, Measurement, Part, Results, Samples},
};

const PAGE: i64 = 50;
const ORGS: usize = 20;

/// A tenant, and a place deep in its list.
struct Tenant {
    org_id: OrgId,
    conn: PgConnection,
    deep: RunPlace,
}

/// Latencies of a kind of question, a value a round.
struct Timed {
    name: &'static str,
    p99: Samples,
}

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (runs, questions) = if arena.size.short { (20_000, 40) } else { (1_000_000, 500) };
    let database = arena.database().await?;
    let began = Instant::now();
    let load = include_str!("queries/load.sql").replace("$runs", &runs.to_string());
    for statement in load.split(";\n") {
        database.connect().await?.execute(AssertSqlSafe(statement.to_owned())).await?;
    }
    eprintln!("  loaded {runs} runs in {:.0} s", began.elapsed().as_secs_f64());
    let mut tenants = tenants(&database, runs).await?;
    let rounds = arena.size.rounds;

    let mut pages = Vec::new();
    for (name, filter) in filters()? {
        pages.push(time_pages(name, &filter, false, &mut tenants, (rounds, questions)).await?);
    }
    let all = RunFilter::default();
    let deep = time_pages("of all runs", &all, true, &mut tenants, (rounds, questions)).await?;
    let completed = RunFilter { status: Some("completed".to_owned()), ..RunFilter::default() };
    let deep_of_status = time_pages("of a status", &completed, true, &mut tenants, (rounds, questions)).await?;
    let mut searches = Vec::new();
    for (name, context) in [
        ("of one run", json!({ "member_id": "M1007" })),
        ("of 500 runs", json!({ "batch": "batch-0" })),
        ("of 1 run in 500", json!({ "payer": "payer-40" })),
        ("of 1 run in 6", json!({ "payer": "payer-0" })),
    ] {
        let filter = RunFilter { context: Some(to_raw_value(&context)?), ..RunFilter::default() };
        searches.push(time_pages(name, &filter, false, &mut tenants, (rounds, questions)).await?);
    }
    let shown = time_run(&database, &mut tenants, (rounds, questions)).await?;
    arena.drop(database).await?;

    let goal = |target, stretch| Goal::AtMost { target, stretch };
    results.measurements.extend([
        slowest("page", "page of 50 runs by any filter, p99 of the slowest", pages, goal(10.0, 2.0)),
        slowest("deep-page", "the thousandth page, p99", vec![deep, deep_of_status], goal(10.0, 2.0)),
        slowest("run", "a run with 50 steps, p99", vec![shown], goal(5.0, 2.0)),
        slowest("context", "runs by key = value of their context, p99 of the slowest", searches, goal(20.0, 10.0)),
    ]);
    Ok(())
}

async fn tenants(database: &CaseDatabase, runs: usize) -> Result<Vec<Tenant>> {
    let mut owner = database.connect().await?;
    let behind = (runs / ORGS).saturating_sub(PAGE as usize + 1).min(999 * PAGE as usize) as i64;
    let mut tenants = Vec::new();
    let orgs: Vec<OrgId> =
        sqlx::query_scalar("SELECT org_id FROM ledger.head ORDER BY 1").fetch_all(&mut owner).await?;
    for org_id in orgs {
        let place = "SELECT created_at, run_id FROM user_workflow_run WHERE org_id = $1
                     ORDER BY created_at DESC, run_id DESC OFFSET $2 LIMIT 1";
        let place = sqlx::query_as(place).bind(org_id).bind(behind);
        let (created_at, run_id): (DateTime<Utc>, RunId) = place.fetch_one(&mut owner).await?;
        let conn = Database::new(&database.url, Role::Reader)?.of_org(org_id).connect().await?;
        tenants.push(Tenant { org_id, conn, deep: RunPlace { created_at, run_id, org_id } });
    }
    Ok(tenants)
}

/// Every filter by itself, and some together.
fn filters() -> Result<Vec<(&'static str, RunFilter)>> {
    let workflow_id = "814250ee-5048-bd4f-5493-fe45390bfd72".parse().ok();
    let text = |text: &str| Some(text.to_owned());
    let time = |text: &str| text.parse().map(Some);
    let none = RunFilter::default();
    Ok(vec![
        ("no filter", none.clone()),
        ("status", RunFilter { status: text("failed"), ..none.clone() }),
        ("rare status", RunFilter { status: text("timeout"), ..none.clone() }),
        ("channel", RunFilter { channel: text("web"), ..none.clone() }),
        ("workflow", RunFilter { workflow_id, ..none.clone() }),
        ("external id", RunFilter { external_id: text("CLM-4711"), ..none.clone() }),
        ("flag", RunFilter { flag: text("events_missing"), ..none.clone() }),
        ("rare flag", RunFilter { flag: text("implausible_time"), ..none.clone() }),
        ("since", RunFilter { since: time("2026-01-03T00:00:00Z")?, ..none.clone() }),
        ("before", RunFilter { before: time("2026-01-03T00:00:00Z")?, ..none.clone() }),
        ("status, channel", RunFilter { status: text("timeout"), channel: text("portal"), ..none.clone() }),
        ("status, flag", RunFilter { status: text("failed"), flag: text("no_start"), ..none }),
    ])
}

async fn time_pages(
    name: &'static str,
    filter: &RunFilter,
    is_deep: bool,
    tenants: &mut [Tenant],
    (rounds, questions): (u32, usize),
) -> Result<Timed> {
    let (mut p99, mut found) = (Samples::default(), 0);
    for _ in 0..rounds {
        let mut histogram: Histogram<u64> = new_histogram()?;
        // The first round over the tenants is what a pool of connections has done long ago.
        for question in 0..ORGS + questions {
            let Tenant { org_id, conn, deep } = &mut tenants[question % ORGS];
            let filter = RunFilter { org_id: Some(*org_id), ..filter.clone() };
            let asked = Instant::now();
            let rows = query::run_list(conn, &filter, is_deep.then_some(*deep), PAGE).await?;
            found += rows.len();
            if question >= ORGS {
                histogram.saturating_record(asked.elapsed().as_micros() as u64);
            }
            ensure!(rows.len() <= PAGE as usize, "a page of {} runs", rows.len());
        }
        p99.push(millis(&histogram, 0.99));
    }
    ensure!(found > 0, "{name}: no run was found, so nothing was measured");
    Ok(Timed { name, p99 })
}

async fn time_run(database: &CaseDatabase, tenants: &mut [Tenant], (rounds, questions): (u32, usize)) -> Result<Timed> {
    let find = "SELECT org_id, run_id FROM user_workflow_run_step WHERE step_number = 50";
    let (org_id, run_id): (OrgId, RunId) = sqlx::query_as(find).fetch_one(&mut database.connect().await?).await?;
    let tenant = tenants.iter_mut().find(|tenant| tenant.org_id == org_id).context("the run's org has gone")?;
    let mut p99 = Samples::default();
    for _ in 0..rounds {
        let mut histogram: Histogram<u64> = new_histogram()?;
        for _ in 0..questions {
            let asked = Instant::now();
            let found = query::run_show(&mut tenant.conn, run_id, Some(tenant.org_id)).await?;
            histogram.saturating_record(asked.elapsed().as_micros() as u64);
            ensure!(found.len() == 1, "run {run_id} is not there");
        }
        p99.push(millis(&histogram, 0.99));
    }
    Ok(Timed { name: "with 50 steps", p99 })
}

/// The row of the slowest, with all as its parts.
fn slowest(row: &str, title: &str, timed: Vec<Timed>, goal: Goal) -> Measurement {
    let slowest = timed.iter().max_by(|one, other| one.p99.median().total_cmp(&other.p99.median()));
    Measurement {
        row: row.to_owned(),
        title: title.to_owned(),
        unit: "ms",
        samples: slowest.map(|timed| timed.p99.clone()).unwrap_or_default(),
        goal: Some(goal),
        parts: timed.into_iter().map(|Timed { name, p99 }| Part { name, unit: "ms", samples: p99 }).collect(),
    }
}

//! What has to be known for an org, a payer and a kind of task, asked by tenants under row-level security: of the view,
//! of the function for now, and for a time in the past. 500 orgs, 200 payers, 20 kinds of tasks with 30 fields each, and
//! rules of payers and of orgs on one in a hundred of the combinations. One question after the other, of changing orgs.

use std::time::Instant;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use ledger::connection::{Database, Role};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::latency::{millis, new_histogram};
use crate::{
    arena::Arena,
    database::CaseDatabase,
    measurement::{Goal, Measurement, Part, Results, Samples},
};

const TASK_TYPES: usize = 20;
const PAYERS: usize = 200;
const FIELDS: usize = 30;
/// So many orgs ask.
const TENANTS: usize = 20;

const ORG: &str = "md5('org' || $1)::uuid";
const PAYER: &str = "md5('payer' || $2)::uuid";
const TASK_TYPE: &str = "md5('task' || $3)::uuid";

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (orgs, questions) = if arena.size.short { (25, 100) } else { (500, 2_000) };
    let database = arena.database().await?;
    let began = Instant::now();
    let load = include_str!("requirements/load.sql").replace("$orgs", &orgs.to_string());
    // One connection: the seed of chance is the session's.
    let mut owner = database.connect().await?;
    for statement in load.split(";\n") {
        owner.execute(AssertSqlSafe(statement.to_owned())).await?;
    }
    eprintln!("  loaded the rules of {orgs} orgs in {:.0} s", began.elapsed().as_secs_f64());
    let mut tenants = tenants(&database, orgs).await?;
    let at = |time: &str| format!("SELECT * FROM effective_requirements_at({ORG}, {PAYER}, {TASK_TYPE}{time})");
    let mut parts = Vec::new();
    for (name, sql) in [
        (
            "view",
            format!(
                "SELECT * FROM effective_requirements WHERE org_id = {ORG} AND payer_id = {PAYER} AND task_type_id = {TASK_TYPE}"
            ),
        ),
        ("function, now", at("")),
        ("function, in the past", at(", '2026-01-15'")),
    ] {
        let samples = time(&sql, &mut tenants, orgs, (arena.size.rounds, questions)).await?;
        parts.push(Part { name, unit: "ms", samples });
    }
    for tenant in tenants {
        tenant.close().await?;
    }
    arena.drop(database).await?;
    let slowest = parts.iter().max_by(|one, other| one.samples.median().total_cmp(&other.samples.median()));
    results.measurements.push(Measurement {
        row: "requirements".to_owned(),
        title: "requirements for an org, a payer and a task type, p99 of the slowest way to ask".to_owned(),
        unit: "ms",
        samples: slowest.map(|part| part.samples.clone()).unwrap_or_default(),
        goal: Some(Goal::AtMost { target: 5.0, stretch: 2.0 }),
        parts,
    });
    Ok(())
}

/// The connection of every so-manieth org.
async fn tenants(database: &CaseDatabase, orgs: usize) -> Result<Vec<PgConnection>> {
    let mut tenants = Vec::new();
    for tenant in 0..TENANTS {
        let number = number(tenant, orgs) as i32;
        let org_id = sqlx::query_scalar("SELECT md5('org' || $1)::uuid").bind(number);
        let org_id: uuid::Uuid = org_id.fetch_one(&mut database.connect().await?).await?;
        tenants.push(Database::new(&database.url, Role::Reader)?.of_org(org_id.try_into()?).connect().await?);
    }
    Ok(tenants)
}

fn number(tenant: usize, orgs: usize) -> usize {
    1 + tenant * orgs / TENANTS
}

async fn time(
    sql: &str,
    tenants: &mut [PgConnection],
    orgs: usize,
    (rounds, questions): (u32, usize),
) -> Result<Samples> {
    let mut p99 = Samples::default();
    for _ in 0..rounds {
        let mut histogram: Histogram<u64> = new_histogram()?;
        // The first rounds over the tenants are what a pool of connections has done long ago: plans are made anew five
        // times before they are kept.
        let warm_up = 6 * TENANTS;
        for question in 0..warm_up + questions {
            let tenant = question % TENANTS;
            let asked = Instant::now();
            let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
                .bind(number(tenant, orgs) as i32)
                .bind((1 + question * 7 % PAYERS) as i32)
                .bind((1 + question * 3 % TASK_TYPES) as i32)
                .fetch_all(&mut tenants[tenant])
                .await?;
            if question >= warm_up {
                histogram.saturating_record(asked.elapsed().as_micros() as u64);
            }
            ensure!(rows.len() == FIELDS, "{} fields, not {FIELDS}: {sql}", rows.len());
        }
        p99.push(millis(&histogram, 0.99));
    }
    Ok(p99)
}

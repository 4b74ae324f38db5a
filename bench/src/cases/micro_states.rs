//! The screens nearest to one, asked by tenants under row-level security, with 100,000 screens of 20 orgs: how long it takes,
//! and how many of the ten nearest are found, against comparing all of the org's one by one. The library call behind
//! `micro-states nearest`, each answer read whole; one question after the other, of changing orgs.

use std::{collections::HashSet, time::Instant};

use anyhow::{Context, Result, ensure};
use events::id::OrgId;
use hdrhistogram::Histogram;
use ledger::connection::{Database, Role};
use projector::query::{MicroStateFilter, Nearness, micro_state_nearest};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use uuid::Uuid;

use super::latency::{millis, new_histogram};
use crate::{
    arena::Arena,
    measurement::{Goal, Measurement, Part, Results, Samples},
};

const ORGS: usize = 20;
const NEAREST: i64 = 10;

/// A screen to ask about, and which are nearest to it.
struct Question {
    org: usize,
    vector: Vec<f32>,
    nearest: HashSet<Uuid>,
}

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (screens, questions) = if arena.size.short { (4_000, 60) } else { (100_000, 500) };
    let database = arena.database().await?;
    let mut owner = database.connect().await?;
    let load = include_str!("micro_states/load.sql").replace("$screens", &screens.to_string());
    execute(&mut owner, &load).await?;
    let began = Instant::now();
    execute(&mut owner, "SELECT ledger.finish_table('micro_state')").await?;
    let build = began.elapsed().as_secs_f64();
    execute(&mut owner, include_str!("micro_states/serve.sql")).await?;
    let index = "SELECT pg_relation_size('micro_state_text_embedding') / 1048576.0::float8";
    let index_mb: f64 = sqlx::query_scalar(index).fetch_one(&mut owner).await?;

    let mut tenants = Vec::new();
    for number in 0..ORGS {
        let org_id: OrgId =
            sqlx::query_scalar("SELECT md5('org' || $1::text)::uuid").bind(number as i32).fetch_one(&mut owner).await?;
        tenants.push((org_id, Database::new(&database.url, Role::Reader)?.of_org(org_id).connect().await?));
    }
    let asked = questions_of(&mut owner, screens, questions).await?;
    let all = MicroStateFilter { model: Some("bench".to_owned()), ..MicroStateFilter::default() };
    let of_portal = MicroStateFilter { portal_type: Some("portal-1".to_owned()), ..all.clone() };
    let labelled = MicroStateFilter { label: Some("label".to_owned()), ..all.clone() };
    let mut found = Found::default();
    let (mut p95, mut p99) = (Samples::default(), Samples::default());
    let mut filtered = [Samples::default(), Samples::default()];
    for _ in 0..arena.size.rounds {
        let histogram = ask(&mut tenants, &asked, &all, Some(&mut found)).await?;
        p95.push(millis(&histogram, 0.95));
        p99.push(millis(&histogram, 0.99));
        for (filter, samples) in [&of_portal, &labelled].into_iter().zip(&mut filtered) {
            samples.push(millis(&ask(&mut tenants, &asked, filter, None).await?, 0.99));
        }
    }
    drop(owner);
    arena.drop(database).await?;

    let [of_portal, labelled] = filtered;
    let part = |name, unit, samples| Part { name, unit, samples };
    results.measurements.push(Measurement {
        row: "nearest".to_owned(),
        title: format!("the 10 nearest of {screens} screens in {ORGS} orgs, p95"),
        unit: "ms",
        samples: p95,
        goal: Some(Goal::AtMost { target: 5.0, stretch: 2.0 }),
        parts: vec![
            part("p99 (at most 15)", "ms", p99),
            part("of one portal in four, p99", "ms", of_portal),
            part("of one label in fifty, p99", "ms", labelled),
        ],
    });
    results.measurements.push(Measurement {
        row: "recall".to_owned(),
        title: "of the 10 nearest of a tenant, how many are found".to_owned(),
        unit: "",
        samples: [found.share()].into_iter().collect(),
        goal: Some(Goal::AtLeast { target: 0.97, stretch: 0.99 }),
        parts: vec![
            part("making the indexes", "s", [build].into_iter().collect()),
            part("size of the index", "MB", [index_mb].into_iter().collect()),
        ],
    });
    Ok(())
}

#[derive(Default)]
struct Found {
    found: usize,
    wanted: usize,
}

impl Found {
    fn share(&self) -> f64 {
        self.found as f64 / self.wanted as f64
    }
}

async fn execute(owner: &mut PgConnection, statements: &str) -> Result<()> {
    for statement in statements.split(";\n") {
        owner.execute(AssertSqlSafe(statement.to_owned())).await?;
    }
    Ok(())
}

async fn questions_of(owner: &mut PgConnection, screens: usize, questions: usize) -> Result<Vec<Question>> {
    let select = "WITH this AS (SELECT org_id, text_embedding AS e FROM micro_state WHERE micro_state_id = md5('screen' || $1::text)::uuid)
        SELECT (SELECT e::vector::real[] FROM this),
               ARRAY(SELECT micro_state_id FROM micro_state WHERE org_id = (SELECT org_id FROM this)
                     ORDER BY (text_embedding <=> (SELECT e FROM this)) + 0 LIMIT 10)";
    let mut asked = Vec::new();
    for question in 0..questions {
        let screen = question * (screens / questions) + question % ORGS;
        let row: Option<(Vec<f32>, Vec<Uuid>)> =
            sqlx::query_as(select).bind(screen as i32).fetch_optional(&mut *owner).await?;
        let (vector, nearest) = row.context("a screen is missing")?;
        asked.push(Question { org: screen % ORGS, vector, nearest: nearest.into_iter().collect() });
    }
    Ok(asked)
}

async fn ask(
    tenants: &mut [(OrgId, PgConnection)],
    questions: &[Question],
    filter: &MicroStateFilter,
    mut found: Option<&mut Found>,
) -> Result<Histogram<u64>> {
    let mut histogram: Histogram<u64> = new_histogram()?;
    // The first round over the tenants is what a pool of connections has done long ago.
    for (number, question) in questions.iter().take(ORGS).chain(questions).enumerate() {
        let (org_id, conn) = &mut tenants[question.org];
        let filter = MicroStateFilter { org_id: Some(*org_id), ..filter.clone() };
        let asked = Instant::now();
        let rows = micro_state_nearest(conn, &question.vector, Nearness::OfText, &filter, NEAREST).await?;
        if number >= ORGS {
            histogram.saturating_record(asked.elapsed().as_micros() as u64);
        }
        let Some(found) = &mut found else { continue };
        ensure!(rows.len() == NEAREST as usize, "only {} screens were found", rows.len());
        for row in rows {
            let row: Value = serde_json::from_str(row.get())?;
            let id: Uuid = row["micro_state_id"].as_str().unwrap_or_default().parse()?;
            found.found += usize::from(question.nearest.contains(&id));
        }
        found.wanted += question.nearest.len();
    }
    Ok(histogram)
}

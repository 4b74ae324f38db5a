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

/// A screen that nobody has seen yet.
struct Question {
    org: usize,
    vector: Vec<f32>,
}

/// Which screens are meant, the same in SQL, and what was measured of them.
struct Asked {
    filter: MicroStateFilter,
    condition: &'static str,
    /// By question.
    nearest: Vec<HashSet<Uuid>>,
    found: Found,
    p95: Samples,
    p99: Samples,
}

impl Asked {
    fn of(filter: MicroStateFilter, condition: &'static str) -> Self {
        let (found, p95, p99) = (Found::default(), Samples::default(), Samples::default());
        Self { filter, condition, nearest: Vec::new(), found, p95, p99 }
    }
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
    let questions = questions_of(&mut owner, screens, questions).await?;
    let all = MicroStateFilter { model: Some("bench".to_owned()), ..MicroStateFilter::default() };
    let of_portal = MicroStateFilter { portal_type: Some("portal-1".to_owned()), ..all.clone() };
    let labelled = MicroStateFilter { label: Some("label".to_owned()), ..all.clone() };
    let mut asked = [
        Asked::of(all, "true"),
        Asked::of(of_portal, "portal_type = 'portal-1'"),
        Asked::of(labelled, "label = 'label'"),
    ];
    for asked in &mut asked {
        for question in &questions {
            let nearest = nearest(&mut owner, tenants[question.org].0, question, asked.condition).await?;
            asked.nearest.push(nearest);
        }
    }
    for _ in 0..arena.size.rounds {
        for asked in &mut asked {
            let histogram = ask(&mut tenants, &questions, asked).await?;
            asked.p95.push(millis(&histogram, 0.95));
            asked.p99.push(millis(&histogram, 0.99));
        }
    }
    drop(owner);
    arena.drop(database).await?;

    let [all, of_portal, labelled] = asked;
    let part = |name, unit, samples| Part { name, unit, samples };
    let once = |value| [value].into_iter().collect::<Samples>();
    results.measurements.push(Measurement {
        row: "nearest".to_owned(),
        title: format!("the 10 nearest of {screens} screens in {ORGS} orgs, p95"),
        unit: "ms",
        samples: all.p95,
        goal: Some(Goal::AtMost { target: 5.0, stretch: 2.0 }),
        parts: vec![
            part("p99 (at most 15)", "ms", all.p99),
            part("of one portal in four, p99", "ms", of_portal.p99),
            part("of one label in fifty, p99", "ms", labelled.p99),
        ],
    });
    results.measurements.push(Measurement {
        row: "recall".to_owned(),
        title: "of the 10 nearest of a tenant, how many are found".to_owned(),
        unit: "",
        samples: once(all.found.share()),
        goal: Some(Goal::AtLeast { target: 0.97, stretch: 0.99 }),
        parts: vec![
            part("of one portal in four", "", once(of_portal.found.share())),
            part("of one label in fifty", "", once(labelled.found.share())),
            part("making the indexes", "s", once(build)),
            part("size of the index", "MB", once(index_mb)),
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

/// Screens that are like some of every org, and the same as none.
async fn questions_of(owner: &mut PgConnection, screens: usize, questions: usize) -> Result<Vec<Question>> {
    let select =
        "SELECT (SELECT array_agg(x + (random() - 0.5) * 0.5) FROM unnest(text_embedding::vector::real[]) AS x)::real[]
        FROM micro_state WHERE micro_state_id = md5('screen' || $1::text)::uuid";
    let mut asked = Vec::new();
    for question in 0..questions {
        let screen = question * (screens / questions) + question % ORGS;
        let vector = sqlx::query_scalar(select).bind(screen as i32).fetch_optional(&mut *owner).await?;
        asked.push(Question { org: screen % ORGS, vector: vector.context("a screen is missing")? });
    }
    Ok(asked)
}

/// By comparing all of them.
async fn nearest(
    owner: &mut PgConnection,
    org_id: OrgId,
    question: &Question,
    condition: &str,
) -> Result<HashSet<Uuid>> {
    let select = format!(
        "SELECT micro_state_id FROM micro_state WHERE org_id = $1 AND {condition}
         ORDER BY (text_embedding <=> $2::real[]::halfvec) + 0 LIMIT {NEAREST}"
    );
    let select = sqlx::query_scalar(AssertSqlSafe(select)).bind(org_id).bind(&question.vector);
    Ok(select.fetch_all(owner).await?.into_iter().collect())
}

async fn ask(
    tenants: &mut [(OrgId, PgConnection)],
    questions: &[Question],
    asked: &mut Asked,
) -> Result<Histogram<u64>> {
    let mut histogram: Histogram<u64> = new_histogram()?;
    // The first round over the tenants is what a pool of connections has done long ago.
    let warmed = questions.iter().zip(&asked.nearest).take(ORGS).map(|(question, nearest)| (question, nearest, false));
    let timed = questions.iter().zip(&asked.nearest).map(|(question, nearest)| (question, nearest, true));
    for (question, nearest, is_timed) in warmed.chain(timed) {
        let (org_id, conn) = &mut tenants[question.org];
        let filter = MicroStateFilter { org_id: Some(*org_id), ..asked.filter.clone() };
        let began = Instant::now();
        let rows = micro_state_nearest(conn, &question.vector, Nearness::OfText, &filter, NEAREST).await?;
        if !is_timed {
            continue;
        }
        histogram.saturating_record(began.elapsed().as_micros() as u64);
        ensure!(rows.len() == nearest.len(), "{} screens were found of {}", rows.len(), nearest.len());
        for row in rows {
            let row: Value = serde_json::from_str(row.get())?;
            let id: Uuid = row["micro_state_id"].as_str().unwrap_or_default().parse()?;
            asked.found.found += usize::from(nearest.contains(&id));
        }
        asked.found.wanted += nearest.len();
    }
    Ok(histogram)
}

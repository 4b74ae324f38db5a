//! What comes next on a simulated portal, as `simulate --portal` publishes it: how often the screen that came next is the
//! likeliest, on the last fifth of the events, of which nothing was learnt. Beside it, what comes most often, of all screens
//! and after this one. The events are read from a ledger that has appended them, so they come in the order of their seq.

use anyhow::{Context, Result, ensure};
use events::{
    RecordedEvent,
    id::{OrgId, Seq},
};
use ledger::read::{self, Limit};
use projector::{embedding::Hashing, prediction::Trial};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    arena::Arena,
    database::CaseDatabase,
    measurement::{Goal, Measurement, Part, Results},
    process::{self, Process},
};

const FAMILIES: &[&str] = &["micro_state", "macro_state", "ui_transition"];
const PAGE: Limit = Limit { events_max: 10_000, bytes_max: 16 << 20 };

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let runs = if arena.size.short { "400" } else { "2500" };
    let (database, account) = (arena.database().await?, arena.account().await?);
    let mut ledger = Process::start("ledger", &database, &account)?;
    let simulate = ["simulate", "--portal", "--orgs", "1", "--seed", "11", "--start", "2026-03-02T06:00:00Z", "--json"];
    let simulate: Vec<_> = simulate.into_iter().chain(["--refused", "0", "--runs", runs]).collect();
    let (_, printed) = process::run(&simulate, &database, &account).await?;
    let printed: Value = serde_json::from_str(&printed).context("the simulation printed no JSON")?;
    let events = printed["events"].as_u64().context("the simulation does not say how many events it made")?;
    let org_id: OrgId = printed["orgs"][0]["org_id"].as_str().context("the simulation names no org")?.parse()?;
    database.wait_for(events, "appended", &mut [&mut ledger], CaseDatabase::appended).await?;
    ledger.stop().await?;
    let of_screens = of_screens(&mut database.connect().await?, org_id).await?;
    arena.drop(database).await?;

    let trial = Trial::of(&of_screens, &Hashing).await?;
    ensure!(trial.tried > 0, "the simulation has told of no move");
    let part = |name, percent: f64| Part { name, unit: "%", samples: [percent].into_iter().collect() };
    results.measurements.push(Measurement {
        row: "prediction".to_owned(),
        title: format!("the next of {} screens is the likeliest, of {} moves", trial.kinds.len(), trial.tried),
        unit: "%",
        samples: [trial.predicted.first].into_iter().collect(),
        // Chance decides about the rest: which of a few results a search has, and whether there is a notice on top.
        goal: Some(Goal::AtLeast { target: trial.of_the_screen.first, stretch: 1.05 * trial.of_the_screen.first }),
        parts: vec![
            part("among the three likeliest", trial.predicted.third),
            part("most frequent after this screen", trial.of_the_screen.first),
            part("among the three most frequent after it", trial.of_the_screen.third),
            part("most frequent of all", trial.most_frequent.first),
            part("among the three most frequent of all", trial.most_frequent.third),
        ],
    });
    Ok(())
}

async fn of_screens(conn: &mut PgConnection, org_id: OrgId) -> Result<Vec<RecordedEvent>> {
    let (mut all, mut after) = (Vec::new(), Seq::ZERO);
    loop {
        let page = read::events_after(conn, org_id, after, FAMILIES, PAGE).await?;
        if page.through <= after {
            return Ok(all);
        }
        after = page.through;
        all.extend(page.events);
    }
}

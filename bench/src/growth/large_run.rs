//! One run that grows large: its events drained live, the run folded anew from the ledger, and shown. Two events a step,
//! and each is to cost what it costs in a small run.

use std::time::Instant;

use anyhow::{Context, Result};
use chrono::TimeDelta;
use events::id::RunId;
use ledger::connection::{Database, Role};
use projector::{
    history::{self, Point},
    query,
};

use super::drain::{drain, once, push_costs};
use crate::{
    arena::Arena,
    long_run::long_run,
    measurement::{Curve, Results},
    workload::Workload,
};

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let sizes: &[u64] = if arena.size.short { &[200, 2_000] } else { &[1_000, 10_000, 100_000] };
    let (mut live, mut folded, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    for &size in sizes {
        let (database, account) = (arena.database().await?, arena.account().await?);
        let registrations = Workload::of_orgs(0, 1)?.registrations()?;
        let (org_id, run_id) = (registrations[0].org_id, RunId::generate());
        account.publish(registrations.into_iter().map(Ok)).await?;
        drain(arena, &database, &account, 1, 1).await?;
        account.publish(long_run(org_id, run_id, size, TimeDelta::milliseconds(1))?.into_iter().map(Ok)).await?;
        let took = drain(arena, &database, &account, size + 1, 1).await?;
        let mut conn = Database::new(&database.url, Role::Reader)?.of_org(org_id).connect().await?;
        let asked = Instant::now();
        let [then] = history::run_at(&mut conn, org_id, run_id, [Point::NOW]).await?;
        let fold = asked.elapsed();
        let then = then.context("the run is not in the ledger")?;
        let asked = Instant::now();
        let now = query::run_show(&mut conn, run_id, Some(org_id)).await?;
        let show = asked.elapsed();
        let now = now.first().context("the run has no row")?;
        anyhow::ensure!(now.get().len() == then.get().len(), "the run is not what its events make of it");
        arena.drop(database).await?;
        let each = |took: std::time::Duration| took.as_secs_f64() * 1e6 / size as f64;
        eprintln!(
            "  {size} events: {:.1} µs an event live, {:.1} folded, {:.1} shown",
            each(took.visible),
            each(fold),
            each(show)
        );
        live.push((size as f64, each(took.visible)));
        folded.push((size as f64, once(each(fold))));
        shown.push((size as f64, once(each(show))));
    }
    push_costs(
        results,
        ("growth-run", "cost of an event of one large run, live", "events of the run"),
        &live,
        1.0,
        Vec::new(),
    );
    for (title, points) in [("cost of an event of one large run, folded anew", folded), ("… shown", shown)] {
        let curve = Curve {
            row: "growth-run".to_owned(),
            title: title.to_owned(),
            grows: "events of the run",
            unit: "µs an event",
            points,
        };
        results.curves.push(curve);
    }
    Ok(())
}

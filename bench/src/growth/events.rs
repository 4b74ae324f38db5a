//! Some events more, in ledgers that hold 100 thousand, 1 million and 10 million; and a rebuild of the largest. What a
//! ledger holds before is restored, which is how the product takes over another ledger: numbered, hashed and inserted as
//! an append does it.

use std::time::Instant;

use anyhow::Result;
use events::{id::Seq, wire::Replayed};
use futures::future;
use ledger::{
    connection::{Database, Role},
    restore::OrgRestore,
};
use sqlx::Executor;

use super::drain::{drain, once, push_costs};
use crate::{
    arena::Arena,
    database::CaseDatabase,
    measurement::{Goal, Measurement, Part, Results},
    process::{self, Process},
    workload::{ORGS, Workload},
};

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (more, sizes) =
        if arena.size.short { (8_000, [4_000, 8_000, 16_000]) } else { (200_000, [100_000, 1_000_000, 10_000_000]) };
    let mut points = Vec::new();
    for (place, size) in sizes.into_iter().enumerate() {
        let (database, account) = (arena.database().await?, arena.account().await?);
        let workload = Workload::new(size + more)?;
        fill(&database, &workload, size).await?;
        project(&database, &account, size + ORGS).await?;
        let mut conn = database.connect().await?;
        conn.execute("VACUUM (ANALYZE)").await?;
        account.publish(workload.events_from(size)).await?;
        let took = drain(arena, &database, &account, workload.len_with_registrations(), 1).await?;
        database.check_rows(&workload).await?;
        let cost = took.visible.as_secs_f64() * 1e6 / more as f64;
        eprintln!("  on {size} events: {cost:.1} µs an event");
        points.push((size as f64, cost));
        if place == sizes.len() - 1 {
            results.measurements.push(rebuild(arena, &database, &account, &workload).await?);
        }
        arena.drop(database).await?;
    }
    let named = ("growth-events", "cost of an event by the events in the ledger", "events in the ledger");
    push_costs(results, named, &points, 1.3, Vec::new());
    Ok(())
}

/// Restores the first `size` events and the registrations, two orgs at a time.
async fn fill(database: &CaseDatabase, workload: &Workload, size: u64) -> Result<()> {
    let began = Instant::now();
    let halves = [0, 1].map(|half| async move {
        let mut conn = Database::new(&database.url, Role::Owner)?.connect().await?;
        for org in (0..ORGS).filter(|org| org % 2 == half) {
            let org_id = workload.orgs()[org as usize];
            let recorded_at = events::time::now();
            let mut restore = OrgRestore::begin(&mut conn, org_id).await?;
            let mut seq = Seq::ZERO;
            let registration = workload.registrations()?.swap_remove(org as usize);
            for event in std::iter::once(Ok(registration)).chain(workload.events_of(org, size)) {
                seq = seq.next();
                restore.take(Replayed { seq, recorded_at, root: None, event: event? }).await?;
            }
            restore.finish(&[], true).await?;
        }
        anyhow::Ok(())
    });
    future::try_join_all(halves).await?;
    eprintln!("  restored {size} events in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Makes all read models of what was restored.
async fn project(database: &CaseDatabase, account: &crate::arena::Account, events: u64) -> Result<()> {
    let began = Instant::now();
    let mut projector = Process::start("projector", database, account)?;
    database.wait_for(events, "visible", &mut [&mut projector], CaseDatabase::visible).await?;
    eprintln!("  projected them in {:.0} s", began.elapsed().as_secs_f64());
    projector.stop().await
}

/// A rebuild of everything, and the most memory that it held.
async fn rebuild(
    arena: &mut Arena,
    database: &CaseDatabase,
    account: &crate::arena::Account,
    workload: &Workload,
) -> Result<Measurement> {
    arena.settle().await?;
    let arguments = ["user_workflow_run", "--drop-old"];
    let (took, peak) = process::run_watched("rebuild", &arguments, database, account).await?;
    let rate = workload.len() as f64 / took.as_secs_f64();
    eprintln!("  rebuilt in {:.0} s with {peak:.0} MiB", took.as_secs_f64());
    Ok(Measurement {
        row: "rebuild-memory".to_owned(),
        title: format!("peak resident of a rebuild of {} events", workload.len()),
        unit: "MiB",
        samples: once(peak),
        goal: Some(Goal::AtMost { target: 512.0, stretch: 128.0 }),
        parts: vec![Part { name: "rebuilt", unit: "events/s", samples: once(rate) }],
    })
}

//! The same events in 1, 100 and 5,000 orgs, and in 20 of which one has nine of ten runs. Registering comes first and is
//! timed apart: it is where partitions are made.

use anyhow::Result;

use super::drain::{drain, once, push_costs};
use crate::{
    arena::Arena,
    measurement::{Measurement, Part, Results},
    workload::Workload,
};

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let (events, sizes) = if arena.size.short { (8_000, [1, 10, 100]) } else { (200_000, [1, 100, 5_000]) };
    let (mut points, mut registrations) = (Vec::new(), f64::NAN);
    for orgs in sizes {
        let (registering, cost) = cost(arena, &Workload::of_orgs(events, orgs)?).await?;
        registrations = registering * 1e3 / orgs as f64;
        eprintln!("  {orgs} orgs: {cost:.1} µs an event, {registrations:.2} ms to register one");
        points.push((orgs as f64, cost));
    }
    let part = Part { name: "registering an org and making its partition", unit: "ms", samples: once(registrations) };
    let named = ("growth-orgs", "cost of an event by the number of orgs", "orgs");
    push_costs(results, named, &points, 1.5, vec![part]);

    let (_, even) = cost(arena, &Workload::new(events)?).await?;
    let (_, hot) = cost(arena, &Workload::new(events)?.with_hot_org()).await?;
    eprintln!("  20 orgs: {even:.1} µs an event, {hot:.1} with a hot one");
    results.measurements.push(Measurement {
        row: "hot-org".to_owned(),
        title: "cost of an event, one of 20 orgs has nine of ten runs / all have as many".to_owned(),
        unit: "×",
        samples: once(hot / even),
        goal: None,
        parts: [("hot", hot), ("even", even)]
            .map(|(name, cost)| Part { name, unit: "µs an event", samples: once(cost) })
            .into(),
    });
    Ok(())
}

/// Seconds until the orgs were registered, and microseconds an event after that.
async fn cost(arena: &mut Arena, workload: &Workload) -> Result<(f64, f64)> {
    let (database, account) = (arena.database().await?, arena.account().await?);
    let orgs = workload.orgs().len() as u64;
    account.publish(workload.registrations()?.into_iter().map(Ok)).await?;
    let registering = drain(arena, &database, &account, orgs, 1).await?;
    account.publish(workload.events()).await?;
    let took = drain(arena, &database, &account, workload.len_with_registrations(), 1).await?;
    database.check_rows(workload).await?;
    arena.drop(database).await?;
    Ok((registering.visible.as_secs_f64(), took.visible.as_secs_f64() * 1e6 / workload.len() as f64))
}

//! The same backlog with 1, 2 and 4 ledgers and as many projectors, all on this machine.

use anyhow::Result;

use super::drain::{drain, once};
use crate::{
    arena::Arena,
    measurement::{Curve, Results},
    workload::Workload,
};

pub async fn measure(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let workload = Workload::new(if arena.size.short { 20_000 } else { 400_000 })?;
    let account = arena.account().await?;
    account.publish(workload.registrations()?.into_iter().map(Ok)).await?;
    account.publish(workload.events()).await?;
    let (mut appended, mut visible) = (Vec::new(), Vec::new());
    for processes in [1, 2, 4] {
        let database = arena.database().await?;
        let took = drain(arena, &database, &account, workload.len_with_registrations(), processes).await?;
        database.check_rows(&workload).await?;
        arena.drop(database).await?;
        let rate = |took: std::time::Duration| workload.len() as f64 / took.as_secs_f64();
        eprintln!(
            "  {processes} of each: {:.0} events/s appended, {:.0} visible",
            rate(took.appended),
            rate(took.visible)
        );
        appended.push((processes as f64, once(rate(took.appended))));
        visible.push((processes as f64, once(rate(took.visible))));
    }
    let curve = |title: &str, points| Curve {
        row: "growth-processes".to_owned(),
        title: title.to_owned(),
        grows: "processes of each service",
        unit: "events/s",
        points,
    };
    results.curves.push(curve("events appended a second by the number of processes", appended));
    results.curves.push(curve("events visible a second by the number of processes", visible));
    Ok(())
}

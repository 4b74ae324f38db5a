//! `runledger rebuild`: any read model again from its events, while it serves; and the proof that both agree.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Args;
use events::id::OrgId;
use ledger::connection::Role;
use projector::{
    Registration,
    rebuild::{Difference, MadeWith, Neighbours, Order, Plan, Progress, Rebuild as Work, Rebuilt, Report, Unfinished},
    registry,
};
use serde_json::json;

use crate::{output, service, settings::Settings};

mod differences;
mod watch;

use differences::Printer;

/// Rebuild read models from their events, or prove that they agree with them
#[derive(Args)]
pub struct Rebuild {
    /// Tables to rebuild; those that one projection writes are rebuilt together
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    tables: Vec<String>,
    /// Every read model
    #[arg(long)]
    all: bool,
    /// Compare and mend this org's rows only, in place
    #[arg(long)]
    org: Option<OrgId>,
    /// Catch up with the ledger, rebuild beside, compare, change nothing; exits 1 if anything differs or could
    /// not be compared
    #[arg(long, conflicts_with_all = ["undo", "plan", "drop_old"])]
    dry_run: bool,
    /// Say what would be read and written and how long it should take; change nothing
    #[arg(long, conflicts_with_all = ["undo", "drop_old"])]
    plan: bool,
    /// Let the tables serve again that the last rebuild replaced, caught up with the ledger
    #[arg(long, conflicts_with_all = ["org", "drop_old"])]
    undo: bool,
    /// Keep the replaced tables until the next rebuild, so that it can be undone; the default
    #[arg(long, conflicts_with = "drop_old")]
    keep_old: bool,
    /// Drop the replaced tables at once
    #[arg(long)]
    drop_old: bool,
    /// Orgs at a time
    #[arg(long, default_value_t = default_jobs(), value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Wait so long for readers of older snapshots, and for locks, before the swap is given up
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u64,
    /// Print so many differing rows at most; all are counted [default: 1000, with --json all]
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
    /// Print JSON lines: progress every second, each difference, then the result
    #[arg(long)]
    json: bool,
}

fn default_jobs() -> u16 {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8) as u16)
}

impl Rebuild {
    /// Exits 1 if a dry run finds a difference.
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        // To be told in a sentence what is wrong with the database, if anything is.
        settings.connect(Role::Projector).await?;
        let work = Work::of(self.projections()?, settings.database(Role::Projector)?).embeds_with(settings.embedder()?);
        if self.plan {
            print_plan(&work.plan(self.org).await?, self.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        service::serve_metrics(settings.metrics_addr, Vec::new()).await?;
        let progress = Progress::default();
        let watch = tokio::spawn(watch::watch(progress.clone(), self.json));
        let done = self.work(&work, &progress).await;
        watch.abort();
        // Its bar is gone when it is.
        let _ = watch.await;
        done
    }

    async fn work(&self, work: &Work, progress: &Progress) -> anyhow::Result<ExitCode> {
        if self.undo {
            for undone in work.undo(&self.order(), progress).await? {
                self.print_swapped(&undone, "serves again, as it was before the last rebuild and caught up")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut printer = Printer::new(self.json, self.limit);
        let ended = work.run(&self.order(), progress, |difference: Difference| printer.print(&difference)).await;
        printer.finish()?;
        let report = match ended {
            Ok(report) => report,
            Err(Unfinished { done, error }) => {
                if !done.projections.is_empty() {
                    self.print(&done)?;
                }
                return Err(error.into());
            }
        };
        self.print(&report)?;
        let agrees = |it: &Rebuilt| it.orgs_not_compared == 0 && it.tables.iter().all(|table| table.differences() == 0);
        let is_proved = report.projections.iter().all(agrees);
        Ok(if self.dry_run && !is_proved { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn order(&self) -> Order {
        Order {
            only_org: self.org,
            dry_run: self.dry_run,
            jobs: self.jobs.into(),
            keep_old: !self.drop_old,
            wait_max: Duration::from_secs(self.wait),
        }
    }

    /// The projections that write the tables.
    fn projections(&self) -> anyhow::Result<Vec<Registration>> {
        let registry = registry()?;
        if self.all {
            return Ok(registry.to_vec());
        }
        for table in &self.tables {
            if !registry.iter().any(|projection| projection.tables.contains(&table.as_str())) {
                let known: Vec<_> = registry.iter().flat_map(|projection| projection.tables).copied().collect();
                bail!("there is no read model {table:?}; there are {}", known.join(", "));
            }
        }
        let is_meant =
            |projection: &Registration| self.tables.iter().any(|it| projection.tables.contains(&it.as_str()));
        Ok(registry.iter().filter(|projection| is_meant(projection)).copied().collect())
    }

    fn print(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            let projections: Vec<_> = report.projections.iter().map(as_json).collect();
            let (events, load_ms) = (report.events, report.load_ms);
            return output::json(
                &json!({ "rebuilt": { "events": events, "load_ms": load_ms, "projections": projections } }),
            );
        }
        let mut table = output::table(&["table", "#equal", "#differing", "#missing", "#extra"]);
        for compared in report.projections.iter().flat_map(|projection| &projection.tables) {
            let counts = [compared.equal, compared.differing, compared.missing, compared.extra];
            output::row(&mut table, [compared.table.to_owned()].into_iter().chain(counts.map(|rows| rows.to_string())));
        }
        output::print(table)?;
        let seconds = output::duration(Some(report.load_ms as i64));
        output::print(format!("{} events folded and loaded in {seconds}", report.events))?;
        for rebuilt in &report.projections {
            self.print_projection(rebuilt)?;
        }
        self.print_what_is_to_follow(report)
    }

    /// Another embedder is another setting of everything that has one.
    fn print_what_is_to_follow(&self, report: &Report) -> anyhow::Result<()> {
        let changed =
            report.projections.iter().filter(|it| it.paused_ms.is_some()).find_map(|it| it.made_with.as_ref());
        let Some(MadeWith { before, after }) = changed else { return Ok(()) };
        output::print(output::printable(&format!(
            "now set the projectors and the searches to {after}, as this rebuild was (RUNLEDGER_EMBEDDER and the like, or \
             runledger.toml); a projector that is set to {before} leaves these tables alone"
        )))?;
        for (projection, with) in &report.made_otherwise {
            output::print(output::printable(&format!(
                "{projection} is still made with {with}: rebuild it with the same setting"
            )))?;
        }
        Ok(())
    }

    fn print_projection(&self, rebuilt: &Rebuilt) -> anyhow::Result<()> {
        let name = rebuilt.projection;
        if rebuilt.orgs_not_compared > 0 {
            output::print(format!(
                "{name}: {} orgs were not compared, because what serves was behind and nobody folds version {}",
                rebuilt.orgs_not_compared, rebuilt.version_before
            ))?;
        }
        let differences: u64 = rebuilt.tables.iter().map(|table| table.differences()).sum();
        if let Some(Neighbours { before, after, screens, overlap_at_10 }) = &rebuilt.neighbours {
            let overlap = overlap_at_10.map_or_else(|| "–".to_owned(), |overlap| format!("{:.1} %", overlap * 100.0));
            output::print(output::printable(&format!(
                "{name}: embedded by {after}, before by {before}; overlap@10 {overlap}: so many of a screen's ten nearest are among \
                 its ten nearest of before, on an average of {screens} screens"
            )))?;
        }
        let finding = match (differences, self.dry_run) {
            (1.., true) if rebuilt.neighbours.is_some() => {
                format!(
                    "rows that are others by the new embedder: {differences}; rebuild without --dry-run to take them"
                )
            }
            (1.., false) if rebuilt.neighbours.is_some() => {
                format!("rows that are others by the new embedder: {differences}")
            }
            (0, _) if rebuilt.orgs_not_compared > 0 => "what was compared is what the events make".to_owned(),
            (0, _) => "every row is what the events make".to_owned(),
            (_, true) => {
                format!("rows that are not what the events make: {differences}; rebuild without --dry-run to mend them")
            }
            (_, false) => format!("rows that were not what the events make, and are now: {differences}"),
        };
        output::print(format!("{name}: {finding}"))?;
        match rebuilt.paused_ms {
            Some(_) if rebuilt.version != rebuilt.version_before => self.print_swapped(
                rebuilt,
                &format!("is served by version {} of its fold, before by {}", rebuilt.version, rebuilt.version_before),
            ),
            Some(_) => self.print_swapped(rebuilt, "is served by the rebuilt tables"),
            None => Ok(()),
        }
    }

    fn print_swapped(&self, rebuilt: &Rebuilt, what: &str) -> anyhow::Result<()> {
        if self.json && self.undo {
            return output::json(&json!({ "undone": as_json(rebuilt) }));
        }
        let (locked, paused) = (rebuilt.locked_ms.unwrap_or_default(), rebuilt.paused_ms.unwrap_or_default());
        let back = if self.undo || self.drop_old { "" } else { "; `--undo` goes back" };
        Ok(output::print(format!(
            "{}: {what}; locked for {locked:.1} ms, projection paused for {paused:.1} ms{back}",
            rebuilt.projection
        ))?)
    }
}

fn as_json(rebuilt: &Rebuilt) -> serde_json::Value {
    json!({
        "projection": rebuilt.projection,
        "version": rebuilt.version,
        "version_before": rebuilt.version_before,
        "tables": rebuilt.tables,
        "orgs_not_compared": rebuilt.orgs_not_compared,
        "locked_ms": rebuilt.locked_ms,
        "paused_ms": rebuilt.paused_ms,
        "made_with": rebuilt.made_with,
        "neighbours": rebuilt.neighbours,
    })
}

fn print_plan(plan: &Plan, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&json!({ "plan": plan }));
    }
    let mib = |bytes: i64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    output::print(format!(
        "reads {} events of {} orgs, {} with indexes",
        plan.events,
        plan.orgs,
        mib(plan.event_bytes)
    ))?;
    for table in &plan.tables {
        let rows = table.rows.map_or_else(|| "an unknown number of".to_owned(), |rows| format!("about {rows}"));
        output::print(format!("writes {rows} rows of {}, {} with indexes", table.table, mib(table.bytes)))?;
    }
    let source = if plan.measured {
        "as measured at the last rebuild here"
    } else {
        "assumed, since none was measured here yet"
    };
    let seconds = output::duration(Some((plan.seconds * 1_000.0) as i64));
    Ok(output::print(format!("about {seconds}, at {:.0} events a second, {source}", plan.events_per_second))?)
}

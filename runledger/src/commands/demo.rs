//! `runledger demo`: the whole thing on a fresh machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::CommandExt,
    process::{ExitCode, Stdio},
};

use anyhow::Context;
use clap::Args;
use events::id::OrgId;
use ledger::{
    connection::Role,
    dead_letter::{self, Filter},
    status,
    stream::EventStream,
    verify::Verdict,
};
use projector::query::{self, Run, RunFilter};
use sqlx::PgConnection;
use stack::{
    Stack,
    servers::{ServerOptions, Servers},
};

use super::{
    batches, runs,
    verify::{self, Evidence},
    wait,
};
use crate::{
    output,
    progress::Progress,
    service,
    settings::Settings,
    simulation::{self, Published, Scenario, Simulation},
};

/// How many messages of buggy services there are to see.
const REFUSED: u32 = 12;

/// Show the whole thing: start servers if none are given, simulate runs, look at them, verify
#[derive(Args)]
pub struct Demo {
    /// How many runs to simulate
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// How many orgs they belong to
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    orgs: u32,
    /// Where chance begins [default: by chance]
    #[arg(long)]
    seed: Option<u64>,
    /// Leave servers, ledger and projector running
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let shutdown = service::shutdown_on_signal()?;
        let interrupted = async {
            shutdown.cancelled().await;
            Err(anyhow::anyhow!("the demo was interrupted"))
        };
        // What is dropped half-started is removed too.
        let stack = tokio::select! {
            stack = start(settings) => stack?,
            interrupted = interrupted => interrupted?,
        };
        let settings = Settings {
            given_database_url: Some(stack.database_url().to_owned()),
            given_nats_url: Some(stack.nats_url().to_owned()),
            ..settings.clone()
        };
        let shown = tokio::select! {
            shown = self.show(&settings, &stack) => shown,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("the demo was interrupted")),
        };
        if self.keep && shown.is_ok() {
            keep(&settings, stack).await?;
        } else {
            stack.stop().await;
        }
        shown
    }

    async fn show(&self, settings: &Settings, stack: &Stack) -> anyhow::Result<ExitCode> {
        let simulation = Simulation::new(Scenario {
            seed: self.seed.unwrap_or_else(rand::random),
            start: Scenario::start_before(ledger::now()),
            orgs: self.orgs,
            runs: self.runs,
            refused: REFUSED,
            portal: false,
        })?;
        let progress = Progress::start("simulating runs", self.runs.into());
        let published = simulation::publish(stack.client(), &simulation, None, &progress).await;
        progress.finish();
        let Published { events, late, doubled, refused, last_stream_seq, .. } = published?;
        output::print(format!(
            "Published {events} events of {} runs in {} orgs; {late} of them late; besides, {doubled} again and {refused} faulty ones",
            self.runs, self.orgs
        ))?;
        let orgs: Vec<OrgId> = simulation.orgs().iter().map(|org| org.org_id).collect();
        wait::until_projected(settings, stack.client(), last_stream_seq, &orgs).await?;

        let mut conn = settings.connect(Role::Admin).await?;
        heading("Runs by org and status")?;
        print_counts(&mut conn).await?;
        heading("A run that failed")?;
        print_a_failed_run(&mut conn).await?;
        heading("A batch")?;
        print_a_batch(&mut conn).await?;
        heading("What was refused, and why")?;
        print_refused(&mut conn).await?;
        heading("Integrity, recomputed from the events")?;
        let intact = print_verdicts(settings).await?;
        let stream = EventStream::ensure(stack.client()).await?;
        let lag = status::stream_lag(&mut conn, &stream).await?;
        output::print(format!("{lag} messages wait in the stream"))?;
        if !self.keep {
            heading("How to look further")?;
            output::print(
                "`runledger demo --keep` leaves it running, for `runs list`, `runs show`, `tail`, `dead-letters list`, `status`",
            )?;
        }
        Ok(if intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn start(settings: &Settings) -> anyhow::Result<Stack> {
    output::print("Starting PostgreSQL and NATS, unless they are given …")?;
    let servers = Servers::start(ServerOptions {
        database_url: settings.given_database_url.clone(),
        nats_url: settings.given_nats_url.clone(),
        durable: true,
        ..ServerOptions::default()
    })
    .await?;
    output::print(servers.describe())?;
    Ok(Stack::start_on(servers).await?)
}

fn heading(text: &str) -> anyhow::Result<()> {
    Ok(output::print(format!("\n{text}"))?)
}

async fn print_counts(conn: &mut PgConnection) -> anyhow::Result<()> {
    let counts = query::run_count_by_org_and_status(conn).await?;
    let statuses: BTreeSet<&str> = counts.iter().map(|count| count.status.as_str()).collect();
    let mut orgs: BTreeMap<(&str, OrgId), BTreeMap<&str, i64>> = BTreeMap::new();
    for count in &counts {
        let name = count.name.as_deref().unwrap_or("–");
        orgs.entry((name, count.org_id)).or_default().insert(&count.status, count.runs);
    }
    let numbers: Vec<String> = statuses.iter().copied().chain(["all"]).map(|name| format!("#{name}")).collect();
    let mut table = output::table(&["org"].into_iter().chain(numbers.iter().map(String::as_str)).collect::<Vec<_>>());
    for ((name, _), of_status) in orgs {
        let cells = statuses.iter().map(|status| of_status.get(status).copied().unwrap_or(0));
        let all = of_status.values().sum();
        output::row(
            &mut table,
            [name.to_owned()].into_iter().chain(cells.chain([all]).map(|runs: i64| runs.to_string())),
        );
    }
    Ok(output::print(table)?)
}

async fn print_a_failed_run(conn: &mut PgConnection) -> anyhow::Result<()> {
    let failed = RunFilter { status: Some("failed".to_owned()), ..RunFilter::default() };
    let rows = query::run_list(conn, &failed, None, 1).await?;
    let Some(row) = rows.first() else { return Ok(output::print("none failed this time")?) };
    let run = Run::of_row(row)?;
    let shown = query::run_show(conn, run.run_id, Some(run.org_id)).await?;
    runs::print_run(conn, shown.first().context("the run is gone")?).await
}

async fn print_a_batch(conn: &mut PgConnection) -> anyhow::Result<()> {
    let rows = query::batch_list(conn, None, None, None, 1).await?;
    let Some(row) = rows.first() else { return Ok(output::print("there is none this time")?) };
    batches::print_batch(&batches::shown(conn, row, 5).await?)
}

async fn print_refused(conn: &mut PgConnection) -> anyhow::Result<()> {
    let open = Filter { state: Some("open".to_owned()), ..Filter::default() };
    let mut table = output::table(&["#id", "code", "reason"]);
    for letter in dead_letter::list(conn, &open, 20).await? {
        output::row(&mut table, [&letter.dead_letter_id.to_string(), &letter.code, &letter.reason]);
    }
    Ok(output::print(table)?)
}

async fn print_verdicts(settings: &Settings) -> anyhow::Result<bool> {
    let verdicts = verify::verify_orgs(&settings.database(Role::Admin)?, None, &Evidence::Database, 4).await?;
    for (org_id, verdict) in &verdicts {
        output::print(verify::sentence(*org_id, verdict, &Evidence::Database))?;
    }
    Ok(verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Intact { .. })))
}

/// Hands the servers over to a `runledger up` of its own, and says how to use and how to end it.
async fn keep(settings: &Settings, stack: Stack) -> anyhow::Result<()> {
    let servers = stack.into_servers().await.context("the servers are in use")?;
    let (database_url, nats_url) = (settings.database_url()?, settings.nats_url()?);
    let binary = std::env::current_exe().context("the path of this program is not known")?;
    let log_path = std::env::temp_dir().join(format!("runledger-demo-{}.log", std::process::id()));
    let log = std::fs::File::create(&log_path).with_context(|| format!("{} cannot be written", log_path.display()))?;
    let mut up = std::process::Command::new(&binary);
    up.arg("up").env("RUNLEDGER_DATABASE_URL", database_url).env("RUNLEDGER_NATS_URL", nats_url);
    up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    let up = up.spawn().context("`runledger up` could not be started")?;
    let stop_servers = servers.keep()?;
    heading("It goes on running. To look further:")?;
    output::print(format!("  export RUNLEDGER_DATABASE_URL={database_url}"))?;
    output::print(format!("  export RUNLEDGER_NATS_URL={nats_url}"))?;
    let program = binary.display();
    for look in ["runs list --status failed", "tail --from 1 --no-follow", "dead-letters list", "status", "verify"] {
        output::print(format!("  {program} {look}"))?;
    }
    output::print(format!("Its log is {}. To end it:", log_path.display()))?;
    let stop = if stop_servers.is_empty() { String::new() } else { format!("; {stop_servers}") };
    Ok(output::print(format!("  kill {}{stop}", up.id()))?)
}

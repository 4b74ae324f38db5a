//! `bench`: how close runledger comes to what PostgreSQL and NATS can do on this machine.
//!
//! Each case runs a limit and the product in turns, on servers and databases of its own, several rounds of it, and
//! compares them within a round: figures drift from day to day, ratios hardly. Services are real processes of the
//! `runledger` binary. Nothing here fails because something is slow.

mod arena;
mod cases;
mod database;
mod growth;
mod limits;
mod long_run;
mod machine;
mod measurement;
mod options;
mod process;
mod report;
mod workload;

use clap::Parser;

use arena::Arena;
use measurement::Results;
use options::Options;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run(Options::parse()).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(mut options: Options) -> anyhow::Result<()> {
    if options.lists() {
        print!("{}", cases::list());
        return Ok(());
    }
    let chosen = cases::chosen(&options.rows, options.growth)?;
    anyhow::ensure!(!options.write || options.is_all(), "--write keeps the whole table: measure `all` rows for it");
    process::build()?;
    let mut arena = Arena::start(options.size()).await?;
    let machine = machine::Machine::look(arena.versions().await?)?;
    let mut results = Results::default();
    let mut failed = Vec::new();
    for case in chosen {
        eprintln!("{}: {}", case.rows.join(", "), case.about);
        // The others are worth their time all the same.
        if let Err(error) = (case.run)(&mut arena, &mut results).await {
            eprintln!("{} failed: {error:#}", case.rows.join(", "));
            failed.push(case.rows.join(", "));
        }
    }
    arena.stop().await;
    // What is kept is kept whole.
    options.write &= failed.is_empty();
    report::give(&options, &machine, &results)?;
    anyhow::ensure!(failed.is_empty(), "these could not be measured: {}", failed.join(", "));
    Ok(())
}

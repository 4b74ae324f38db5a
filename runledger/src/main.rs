//! `runledger`: the ledger of workflow runs. One file a command; this one puts them together.

mod commands;
mod correction;
mod event_log;
mod legacy;
mod logging;
mod output;
mod progress;
mod publisher;
mod service;
mod settings;
mod simulation;
mod workflow;

use clap::Parser;

use commands::Command;
use settings::{Flags, Settings};

/// Events are many small pieces of memory that one thread takes and another gives back; the system's
/// allocator spends more time on that than the ledger on the events (`docs/PERFORMANCE.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The ledger of workflow runs: events in, an immutable ledger, read models out.
#[derive(Parser)]
#[command(name = "runledger", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runledger: {}", output::printable(&output::one_line(&error)));
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<std::process::ExitCode> {
    let settings = Settings::resolve(cli.flags)?;
    logging::init(settings.log_format, cli.command.log_default())?;
    cli.command.run(&settings).await
}

//! The commands, one file each: its arguments, and what it does with the crates that do the work.

#[cfg(feature = "archive")]
mod archive;
mod batches;
mod catalogue;
mod dead_letters;
mod demo;
mod emit;
mod import;
mod micro_states;
mod migrate;
mod org;
mod point;
mod rebuild;
mod replay;
mod requirements;
mod runs;
mod seed;
mod services;
mod simulate;
mod status;
mod tail;
mod verify;
mod wait;
mod workflows;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{logging, settings::Settings};

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    Demo(demo::Demo),
    Migrate(migrate::Migrate),
    Up(services::Up),
    Ledger(services::Ledger),
    Projector(services::Projector),
    Org(org::Org),
    Catalogue(catalogue::Catalogue),
    Emit(emit::Emit),
    Simulate(simulate::Simulate),
    Seed(seed::Seed),
    Import(import::Import),
    Status(status::Status),
    Runs(runs::Runs),
    Workflows(workflows::Workflows),
    Batches(batches::Batches),
    Requirements(requirements::Requirements),
    MicroStates(micro_states::MicroStates),
    Tail(tail::Tail),
    Replay(replay::Replay),
    DeadLetters(dead_letters::DeadLetters),
    Verify(verify::Verify),
    #[cfg(feature = "archive")]
    Archive(archive::Archive),
    Rebuild(rebuild::Rebuild),
}

impl Command {
    /// What it logs where `RUST_LOG` says nothing.
    pub fn log_default(&self) -> &'static str {
        match self {
            Self::Demo(_) => logging::QUIET,
            _ => logging::NORMAL,
        }
    }

    /// Does it.
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self {
            Self::Demo(command) => command.run(settings).await,
            Self::Migrate(command) => command.run(settings).await,
            Self::Up(command) => command.run(settings).await,
            Self::Ledger(command) => command.run(settings).await,
            Self::Projector(command) => command.run(settings).await,
            Self::Org(command) => command.run(settings).await,
            Self::Catalogue(command) => command.run(settings).await,
            Self::Emit(command) => command.run(settings).await,
            Self::Simulate(command) => command.run(settings).await,
            Self::Seed(command) => command.run(settings).await,
            Self::Import(command) => command.run(settings).await,
            Self::Status(command) => command.run(settings).await,
            Self::Runs(command) => command.run(settings).await,
            Self::Workflows(command) => command.run(settings).await,
            Self::Batches(command) => command.run(settings).await,
            Self::Requirements(command) => command.run(settings).await,
            Self::MicroStates(command) => command.run(settings).await,
            Self::Tail(command) => command.run(settings).await,
            Self::Replay(command) => command.run(settings).await,
            Self::DeadLetters(command) => command.run(settings).await,
            Self::Verify(command) => command.run(settings).await,
            #[cfg(feature = "archive")]
            Self::Archive(command) => command.run(settings).await,
            Self::Rebuild(command) => command.run(settings).await,
        }
    }
}

//! What is asked for on the command line.

use std::path::PathBuf;

use clap::Parser;

use crate::workload::EVENTS_PER_WAVE;

/// Measure runledger against the limits of PostgreSQL and NATS
#[derive(Parser)]
#[command(name = "bench", max_term_width = 100)]
pub struct Options {
    /// `all`, names of rows, or `list` to see which there are
    #[arg(required = true, value_name = "ROW")]
    pub rows: Vec<String>,
    /// Under two minutes in all: few events, one round. Shows that the bench works, not how fast anything is
    #[arg(long)]
    short: bool,
    /// Also measure how costs grow with events, orgs, processes and the size of a run: one round, about an hour
    #[arg(long)]
    pub growth: bool,
    /// How often each limit and the product take turns [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// How many events wait, or stand in the ledger [default: 1000000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    events: Option<u64>,
    /// Write the results there, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the results there
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Keep the results in docs/PERFORMANCE.md and docs/performance.svg
    #[arg(long, conflicts_with = "short")]
    pub write: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Turns of each limit and the product.
    pub rounds: u32,
    /// Events of runs and steps in the backlog, whole runs of them.
    pub events: u64,
    /// Whether only to show that it works.
    pub short: bool,
}

impl Options {
    /// Whether only the names of rows are asked for.
    pub fn lists(&self) -> bool {
        self.rows.iter().any(|row| row == "list")
    }

    /// Whether every row is asked for.
    pub fn is_all(&self) -> bool {
        self.rows.iter().any(|row| row == "all")
    }

    /// How much is to be measured.
    pub fn size(&self) -> Size {
        let (rounds, events) = if self.short { (1, 40_000) } else { (3, 1_000_000) };
        let events = (self.events.unwrap_or(events) / EVENTS_PER_WAVE).max(1) * EVENTS_PER_WAVE;
        Size { rounds: self.rounds.unwrap_or(rounds), events, short: self.short }
    }
}

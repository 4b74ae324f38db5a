//! `runledger batches`: look at batches, how far they are and what became of their rows.

use std::{io::IsTerminal, process::ExitCode};

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use events::id::{BatchId, OrgId};
use projector::query::{self, BatchPlace};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::settings::Settings;

mod list;
mod show;

pub use show::print_batch;

/// Look at batches and their rows: list, show
#[derive(Args)]
pub struct Batches {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(list::List),
    Show(show::Show),
}

impl Batches {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::List(list) => list.run(settings).await,
            Action::Show(show) => show.run(settings).await,
        }
    }
}

/// A row of `batch_job`.
#[derive(Deserialize)]
struct Batch {
    org_id: OrgId,
    batch_id: BatchId,
    name: Option<String>,
    status: String,
    external_id: Option<String>,
    rows_expected: Option<i64>,
    rows_total: i64,
    rows_pending: i64,
    rows_running: i64,
    rows_completed: i64,
    rows_failed: i64,
    rows_skipped: i64,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    duration_ms: Option<i64>,
    error_message: Option<String>,
    flags: Vec<String>,
    created_at: DateTime<Utc>,
}

/// The bar is of so many characters.
const BAR_CHARS: i64 = 20;

impl Batch {
    fn of_row(row: &RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(row.get())
    }

    fn place(&self) -> BatchPlace {
        BatchPlace { created_at: self.created_at, batch_id: self.batch_id, org_id: self.org_id }
    }

    /// How many rows have ended, and how many there are or are announced.
    fn done(&self) -> (i64, i64) {
        let done = self.rows_completed + self.rows_failed + self.rows_skipped;
        (done, self.rows_total.max(self.rows_expected.unwrap_or(0)))
    }

    /// How far it is, in percent of its rows; on a terminal with a bar.
    fn progress(&self) -> String {
        let (done, all) = self.done();
        if all == 0 {
            return "no rows".to_owned();
        }
        // Rounded down: 100 % is all of them.
        let percent = format!("{} %", done * 100 / all);
        if !std::io::stdout().is_terminal() {
            return percent;
        }
        let full = (done * BAR_CHARS / all) as usize;
        format!("{}{} {percent}", "█".repeat(full), "░".repeat(BAR_CHARS as usize - full))
    }
}

/// A batch of a list with so many of its rows.
pub async fn shown(conn: &mut PgConnection, listed: &RawValue, rows_max: i64) -> anyhow::Result<Box<RawValue>> {
    let BatchPlace { batch_id, org_id, .. } = Batch::of_row(listed)?.place();
    the_batch(conn, batch_id, Some(org_id), None, rows_max).await
}

/// The one batch of this id, as [`query::batch_show`] gives it.
async fn the_batch(
    conn: &mut PgConnection,
    batch_id: BatchId,
    org_id: Option<OrgId>,
    row_status: Option<&str>,
    rows_max: i64,
) -> anyhow::Result<Box<RawValue>> {
    let mut rows = query::batch_show(conn, batch_id, org_id, row_status, rows_max).await?;
    let Some(row) = rows.pop() else {
        return Err(anyhow!("there is no batch {batch_id}; `runledger batches list` shows which there are"));
    };
    if !rows.is_empty() {
        rows.push(row);
        let orgs: Vec<String> = rows
            .iter()
            .map(|row| Batch::of_row(row).map(|batch| batch.org_id.to_string()))
            .collect::<Result<_, _>>()?;
        return Err(anyhow!("batch {batch_id} occurs in several orgs: say which with --org: {}", orgs.join(", ")));
    }
    Ok(row)
}

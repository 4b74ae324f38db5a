//! `runledger batches show`: a batch with its rows.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use events::id::{BatchId, OrgId, RunId};
use projector::{
    history::{self, Point},
    query::{self, BatchPlace},
    registration,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::{Batch, the_batch};
use crate::{
    commands::point::{PointArgs, check_is_past, print_point},
    output,
    settings::Settings,
};

/// Show a batch: how far it is, and its rows, as it is or as it was
#[derive(Args)]
pub struct Show {
    /// The batch's id
    batch: BatchId,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// Only rows in this status
    #[arg(long, value_name = "STATUS", value_parser = ["pending", "running", "completed", "failed", "skipped"])]
    rows: Option<String>,
    /// At most so many rows, by their numbers; the totals are of all
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(0..=1_000_000))]
    limit: i64,
    #[command(flatten)]
    point: PointArgs,
    /// Print JSON: the batch's columns and `rows`
    #[arg(long)]
    json: bool,
}

impl Show {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let mut org_id = self.org;
        if let Some(point) = self.point.past() {
            let row = the_batch(&mut conn, self.batch, org_id, None, 0).await?;
            org_id = Some(recall_batch(&mut conn, &row, point).await?);
        }
        let row = the_batch(&mut conn, self.batch, org_id, self.rows.as_deref(), self.limit).await?;
        if self.json {
            output::json(&row)?;
        } else {
            self.point.past().map(print_point).transpose()?;
            print_batch(&row)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Puts the batch, of which this is the row, back to a point, and says whose it is.
async fn recall_batch(conn: &mut PgConnection, row: &RawValue, point: Point) -> anyhow::Result<OrgId> {
    let BatchPlace { batch_id, org_id, .. } = Batch::of_row(row)?.place();
    check_is_past(conn, org_id, point).await?;
    history::recall(conn, registration("batch_job")?, &[org_id], Some(batch_id.subject()), point).await?;
    if query::batch_show(conn, batch_id, Some(org_id), None, 0).await?.is_empty() {
        bail!("batch {batch_id} did not exist at that point; show it without --as-of and --known-at");
    }
    Ok(org_id)
}

#[derive(Deserialize)]
struct Shown {
    #[serde(flatten)]
    batch: Batch,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    row_number: Option<i32>,
    status: String,
    run_id: Option<RunId>,
    external_id: Option<String>,
    duration_ms: Option<i64>,
    error_message: Option<String>,
    flags: Vec<String>,
}

/// Prints a batch, as [`batch_show`](projector::query::batch_show) gives it, with its rows.
pub fn print_batch(row: &RawValue) -> anyhow::Result<()> {
    let Shown { batch, rows } = serde_json::from_str(row.get())?;
    output::print(format!("batch {}  {}", batch.batch_id, batch.status.to_uppercase()))?;
    let (done, all) = batch.done();
    let ended = batch
        .ended_at
        .map(|_| format!("{} after {}", output::time(batch.ended_at), output::duration(batch.duration_ms)));
    let facts = [
        ("org", Some(batch.org_id.to_string())),
        ("name", batch.name.clone()),
        ("external id", batch.external_id.clone()),
        ("started", batch.started_at.map(|time| output::time(Some(time)))),
        ("ended", ended),
        ("error", batch.error_message.clone()),
        ("flags", (!batch.flags.is_empty()).then(|| batch.flags.join(" "))),
        ("progress", Some(batch.progress())),
        ("rows", Some(format!("{done} of {all} done: {}", totals(&batch)))),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        output::print(format!("  {name:<12} {}", output::printable(&value)))?;
    }
    let mut table = output::table(&["#no.", "status", "external id", "run", "#duration", "error", "flags"]);
    for row in &rows {
        output::row(
            &mut table,
            [
                output::or_dash(row.row_number),
                row.status.clone(),
                output::or_dash(row.external_id.as_ref()),
                output::or_dash(row.run_id),
                output::duration(row.duration_ms),
                output::or_dash(row.error_message.as_ref()),
                row.flags.join(" "),
            ],
        );
    }
    output::print(table)?;
    if (rows.len() as i64) < batch.rows_total {
        output::print(format!("{} of {} rows; --limit and --rows choose them", rows.len(), batch.rows_total))?;
    }
    Ok(())
}

fn totals(batch: &Batch) -> String {
    let totals = [
        (batch.rows_completed, "completed"),
        (batch.rows_failed, "failed"),
        (batch.rows_skipped, "skipped"),
        (batch.rows_running, "running"),
        (batch.rows_pending, "pending"),
    ];
    let totals: Vec<String> =
        totals.iter().filter(|(rows, _)| *rows > 0).map(|(rows, status)| format!("{rows} {status}")).collect();
    if totals.is_empty() { "none has come".to_owned() } else { totals.join(", ") }
}

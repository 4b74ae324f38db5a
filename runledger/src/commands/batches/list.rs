//! `runledger batches list`.

use std::process::ExitCode;

use clap::Args;
use events::id::{BatchId, InvalidId, OrgId};
use projector::query;

use super::{Batch, the_batch};
use crate::{
    commands::point::{PointArgs, print_point, recall_org},
    output,
    settings::Settings,
};

/// List batches, newest first, with how far they are or, of an org, were
#[derive(Args)]
pub struct List {
    /// Of this org only, read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// In this status
    #[arg(long, value_parser = ["pending", "running", "completed", "failed", "cancelled"])]
    status: Option<String>,
    /// Begin behind this batch, the last one of the page before; with its org where the id occurs in several
    #[arg(long, value_name = "[ORG/]BATCH", value_parser = parse_after)]
    after: Option<(Option<OrgId>, BatchId)>,
    #[command(flatten)]
    point: PointArgs,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON, one batch a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        recall_org(&mut conn, "batch_job", self.org, self.point).await?;
        let after = match self.after {
            Some((org_id, batch_id)) => {
                let row = the_batch(&mut conn, batch_id, org_id.or(self.org), None, 0).await?;
                Some(Batch::of_row(&row)?.place())
            }
            None => None,
        };
        let rows = query::batch_list(&mut conn, self.org, self.status.as_deref(), after, self.limit).await?;
        if self.json {
            for row in &rows {
                output::json(row)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        self.point.past().map(print_point).transpose()?;
        let batches = rows.iter().map(|row| Batch::of_row(row)).collect::<Result<Vec<_>, _>>()?;
        print_batches(&batches)?;
        match batches.last() {
            Some(last) if batches.len() as i64 == self.limit => {
                output::print(format!("more: --after {}/{}", last.org_id, last.batch_id))?;
            }
            Some(_) => output::print("look at one with `runledger batches show BATCH`")?,
            None => output::print("no batches")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_batches(batches: &[Batch]) -> anyhow::Result<()> {
    let names = ["batch", "name", "status", "progress", "#rows", "#failed", "created", "#duration", "flags"];
    let mut table = output::table(&names);
    for batch in batches {
        output::row(
            &mut table,
            [
                batch.batch_id.to_string(),
                output::or_dash(batch.name.as_ref().or(batch.external_id.as_ref())),
                batch.status.clone(),
                batch.progress(),
                batch.rows_total.to_string(),
                batch.rows_failed.to_string(),
                output::time(Some(batch.created_at)),
                output::duration(batch.duration_ms),
                batch.flags.join(" "),
            ],
        );
    }
    Ok(output::print(table)?)
}

fn parse_after(text: &str) -> Result<(Option<OrgId>, BatchId), InvalidId> {
    match text.split_once('/') {
        Some((org_id, batch_id)) => Ok((Some(org_id.parse()?), batch_id.parse()?)),
        None => Ok((None, text.parse()?)),
    }
}

//! `runledger micro-states list`.

use std::process::ExitCode;

use clap::Args;
use projector::query;

use super::{Meant, table};
use crate::{output, settings::Settings};

/// List screens, the one seen last first
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    meant: Meant,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON, one screen a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.meant.org).await?;
        let rows = query::micro_state_list(&mut conn, &self.meant.filter(), self.limit).await?;
        if self.json {
            for row in &rows {
                output::json(row)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        output::print(table(&rows)?)?;
        match rows.len() {
            0 => output::print("no screens")?,
            listed if listed as i64 == self.limit => output::print("there may be more: --limit")?,
            _ => output::print("look at one with `runledger micro-states show ID`")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

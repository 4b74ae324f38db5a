//! `runledger import list`

use std::process::ExitCode;

use clap::Args;
use events::id::OrgId;
use ledger::{
    connection::Role,
    correction::{self, Import},
};
use serde::Serialize;

use crate::{output, settings::Settings};

/// List the latest imports, latest first, and whether they were reverted
#[derive(Args)]
pub struct List {
    /// Into this org only
    #[arg(long)]
    org: Option<OrgId>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON, one import a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    import: Import,
    /// Whether all of its runs are retracted.
    reverted: bool,
}

impl List {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect(Role::Admin).await?;
        let imports = correction::imports(&mut conn, self.org, self.limit).await?;
        if self.json {
            for import in imports {
                let reverted = import.runs > 0 && import.retracted == import.runs;
                output::json(&Shown { import, reverted })?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = output::table(&["import", "org", "source", "imported", "#events", "#runs", "#retracted"]);
        for import in &imports {
            output::row(
                &mut table,
                [
                    import.import_id.clone(),
                    import.org_id.to_string(),
                    import.source.clone(),
                    output::time(Some(import.imported_at)),
                    import.events.to_string(),
                    import.runs.to_string(),
                    import.retracted.to_string(),
                ],
            );
        }
        output::print(table)?;
        if imports.len() as i64 == self.limit {
            output::print("these are the latest; see more with --limit")?;
        }
        output::print(if imports.is_empty() {
            "no imports"
        } else {
            "take one back with `runledger import revert IMPORT`"
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

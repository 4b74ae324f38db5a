//! `runledger workflows list`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use events::id::{OrgId, WorkflowId};
use projector::query;
use serde::Deserialize;

use crate::{
    commands::point::{PointArgs, print_point, recall_org},
    output,
    settings::Settings,
};

/// List workflows by name, as they are or, of an org, as they were
#[derive(Args)]
pub struct List {
    /// Of this org only, read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// In this status
    #[arg(long, value_parser = ["active", "archived"])]
    status: Option<String>,
    #[command(flatten)]
    point: PointArgs,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON, one workflow a line
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Listed {
    workflow_id: WorkflowId,
    name: String,
    status: String,
    revision: i32,
    node_count: i32,
    transition_count: i32,
    updated_at: DateTime<Utc>,
    flags: Vec<String>,
}

impl List {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        recall_org(&mut conn, "user_workflow", self.org, self.point).await?;
        let rows = query::workflow_list(&mut conn, self.org, self.status.as_deref(), self.limit).await?;
        if self.json {
            for row in &rows {
                output::json(row)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        self.point.past().map(print_point).transpose()?;
        let names = ["workflow", "name", "status", "#revision", "#nodes", "#transitions", "updated", "flags"];
        let mut table = output::table(&names);
        for row in &rows {
            let listed: Listed = serde_json::from_str(row.get())?;
            output::row(
                &mut table,
                [
                    listed.workflow_id.to_string(),
                    listed.name,
                    listed.status,
                    listed.revision.to_string(),
                    listed.node_count.to_string(),
                    listed.transition_count.to_string(),
                    output::time(Some(listed.updated_at)),
                    listed.flags.join(" "),
                ],
            );
        }
        output::print(table)?;
        match rows.len() {
            0 => output::print("no workflows")?,
            listed if listed as i64 == self.limit => output::print("there may be more: --limit")?,
            _ => output::print("look at one with `runledger workflows show WORKFLOW`")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

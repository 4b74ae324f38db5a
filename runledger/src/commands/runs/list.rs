//! `runledger runs list`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use events::id::{InvalidId, OrgId, RunId, WorkflowId};
use projector::query::{self, Run, RunFilter};
use serde_json::value::{RawValue, to_raw_value};

use super::the_run;
use crate::{output, settings::Settings};

/// List runs, newest first
#[derive(Args)]
pub struct List {
    /// Of this org only, read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// In this status
    #[arg(long, value_parser = ["pending", "running", "completed", "failed", "cancelled", "timeout"])]
    status: Option<String>,
    /// E.g. web, voice, efax
    #[arg(long)]
    channel: Option<String>,
    /// Of this workflow only
    #[arg(long)]
    workflow: Option<WorkflowId>,
    /// With this id in another system
    #[arg(long)]
    external_id: Option<String>,
    /// With this flag, e.g. no_start
    #[arg(long)]
    flag: Option<String>,
    /// Whose context has this value under this key; several hold together. A value that is no JSON is a
    /// text, as in claim=A12; write claim='"12"' for a text that looks like a number
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_context)]
    context: Vec<(String, Box<RawValue>)>,
    /// Created at this time (RFC 3339) or later
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// Created before this time (RFC 3339)
    #[arg(long)]
    before: Option<DateTime<Utc>>,
    /// Begin behind this run, the last one of the page before; with its org where the id occurs in several
    #[arg(long, value_name = "[ORG/]RUN", value_parser = parse_after)]
    after: Option<(Option<OrgId>, RunId)>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON, one run a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let filter = RunFilter {
            org_id: self.org,
            status: self.status,
            channel: self.channel,
            workflow_id: self.workflow,
            external_id: self.external_id,
            flag: self.flag,
            context: context_object(self.context)?,
            since: self.since,
            before: self.before,
        };
        let after = match self.after {
            Some((org_id, run_id)) => {
                Some(Run::of_row(&the_run(&mut conn, run_id, org_id.or(filter.org_id)).await?)?.place())
            }
            None => None,
        };
        let rows = query::run_list(&mut conn, &filter, after, self.limit).await?;
        if self.json {
            for row in &rows {
                output::json(row)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let runs = rows.iter().map(|row| Run::of_row(row)).collect::<Result<Vec<_>, _>>()?;
        print_runs(&runs)?;
        match runs.last() {
            Some(last) if runs.len() as i64 == self.limit => {
                output::print(format!("more: --after {}/{}", last.org_id, last.run_id))?
            }
            Some(_) => output::print("look at one with `runledger runs show RUN`")?,
            None => output::print("no runs")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints runs as a table.
fn print_runs(runs: &[Run]) -> anyhow::Result<()> {
    let mut table =
        output::table(&["run", "status", "channel", "external id", "created", "#duration", "error", "flags"]);
    for run in runs {
        output::row(
            &mut table,
            [
                run.run_id.to_string(),
                run.status.clone(),
                output::or_dash(run.channel.as_ref()),
                output::or_dash(run.external_id.as_ref()),
                output::time(Some(run.created_at)),
                output::duration(run.duration_ms),
                output::or_dash(run.error_message.as_ref()),
                run.flags.join(" "),
            ],
        );
    }
    Ok(output::print(table)?)
}

/// `KEY=VALUE`, the value as JSON if it is such.
fn parse_context(text: &str) -> Result<(String, Box<RawValue>), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in claim=A12")?;
    let text_value = || to_raw_value(value).map_err(|error| error.to_string());
    let value = serde_json::from_str::<Box<RawValue>>(value).or_else(|_| text_value())?;
    Ok((key.to_owned(), value))
}

/// An object of all of these; none of none.
fn context_object(pairs: Vec<(String, Box<RawValue>)>) -> anyhow::Result<Option<Box<RawValue>>> {
    let mut object = BTreeMap::new();
    for (key, value) in pairs {
        if let Some(other) = object.insert(key.clone(), value) {
            bail!("--context names {key} twice, and no context has two values under a key; leave {key}={other} out");
        }
    }
    Ok(if object.is_empty() { None } else { Some(to_raw_value(&object)?) })
}

fn parse_after(text: &str) -> Result<(Option<OrgId>, RunId), InvalidId> {
    match text.split_once('/') {
        Some((org_id, run_id)) => Ok((Some(org_id.parse()?), run_id.parse()?)),
        None => Ok((None, text.parse()?)),
    }
}

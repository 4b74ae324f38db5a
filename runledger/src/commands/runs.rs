//! `runledger runs`: look at runs and their steps.

use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use events::id::{InvalidId, OrgId, RunId, WorkflowId};
use projector::query::{self, Run, RunFilter};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::{output, settings::Settings};

/// Look at runs: list, show
#[derive(Args)]
pub struct Runs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(List),
    Show(Show),
}

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

/// Show a run with its steps
#[derive(Args)]
pub struct Show {
    /// The run's id
    run: RunId,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// Print JSON: the run's columns and `steps`
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::List(list) => list.run(settings).await,
            Action::Show(show) => show.run(settings).await,
        }
    }
}

impl List {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let filter = RunFilter {
            org_id: self.org,
            status: self.status,
            channel: self.channel,
            workflow_id: self.workflow,
            external_id: self.external_id,
            flag: self.flag,
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
pub fn print_runs(runs: &[Run]) -> anyhow::Result<()> {
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

impl Show {
    async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let row = the_run(&mut conn, self.run, self.org).await?;
        if self.json {
            output::json(&row)?;
        } else {
            print_run(&row)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What `runs show` prints of a run beyond what lists do.
#[derive(Deserialize)]
struct Shown {
    #[serde(flatten)]
    run: Run,
    workflow_id: Option<WorkflowId>,
    workflow_revision: Option<i32>,
    parent_run_id: Option<RunId>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step_number: Option<i32>,
    status: String,
    retry_count: i32,
    started_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    duration_ms: Option<i64>,
    error_message: Option<String>,
    metadata: serde_json::Map<String, serde_json::Value>,
    flags: Vec<String>,
}

/// Prints a run, as [`query::run_show`] gives it, with its steps.
pub fn print_run(row: &RawValue) -> anyhow::Result<()> {
    let shown: Shown = serde_json::from_str(row.get())?;
    let run = &shown.run;
    output::print(format!("run {}  {}", run.run_id, run.status.to_uppercase()))?;
    let revision = shown.workflow_revision.map(|revision| format!(" revision {revision}")).unwrap_or_default();
    let facts = [
        ("org", Some(run.org_id.to_string())),
        ("workflow", shown.workflow_id.map(|workflow| format!("{workflow}{revision}"))),
        ("parent run", shown.parent_run_id.map(|parent| parent.to_string())),
        ("channel", run.channel.clone()),
        ("external id", run.external_id.clone()),
        ("started", run.started_at.map(|time| output::time(Some(time)))),
        (
            "ended",
            run.ended_at
                .map(|time| format!("{} after {}", output::time(Some(time)), output::duration(run.duration_ms))),
        ),
        ("error", run.error_message.clone()),
        ("flags", (!run.flags.is_empty()).then(|| run.flags.join(" "))),
        ("context", object(row, "context")?),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        output::print(format!("  {name:<12} {}", output::printable(&value)))?;
    }
    let mut table = output::table(&["#no.", "step", "status", "#retries", "started", "#duration", "error", "flags"]);
    for step in &shown.steps {
        output::row(
            &mut table,
            [
                output::or_dash(step.step_number),
                label(step),
                step.status.clone(),
                step.retry_count.to_string(),
                output::time(step.started_at.or(Some(step.created_at))),
                output::duration(step.duration_ms),
                output::or_dash(step.error_message.as_ref()),
                step.flags.join(" "),
            ],
        );
    }
    output::print(table)?;
    Ok(())
}

/// What the step is called: services put it into its metadata.
fn label(step: &Step) -> String {
    let named = ["label", "name", "activity"].iter().find_map(|key| step.metadata.get(*key)?.as_str());
    named.unwrap_or("–").to_owned()
}

/// An object column as it stands in the row; none if it is empty.
fn object(row: &RawValue, column: &str) -> anyhow::Result<Option<String>> {
    let columns: std::collections::HashMap<&str, &RawValue> = serde_json::from_str(row.get())?;
    let text = columns.get(column).context("the row lacks a column")?.get();
    Ok((text != "{}").then(|| text.to_owned()))
}

fn parse_after(text: &str) -> Result<(Option<OrgId>, RunId), InvalidId> {
    match text.split_once('/') {
        Some((org_id, run_id)) => Ok((Some(org_id.parse()?), run_id.parse()?)),
        None => Ok((None, text.parse()?)),
    }
}

/// The one run of this id, as [`query::run_show`] gives it.
async fn the_run(conn: &mut PgConnection, run_id: RunId, org_id: Option<OrgId>) -> anyhow::Result<Box<RawValue>> {
    let mut rows = query::run_show(conn, run_id, org_id).await?;
    let Some(row) = rows.pop() else {
        bail!("there is no run {run_id}; `runledger runs list` shows which there are");
    };
    if !rows.is_empty() {
        let orgs: Vec<String> =
            rows.iter().chain([&row]).filter_map(|row| Some(Run::of_row(row).ok()?.org_id.to_string())).collect();
        bail!("run {run_id} occurs in several orgs: say which with --org: {}", orgs.join(", "));
    }
    Ok(row)
}

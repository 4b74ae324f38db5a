//! `runledger runs show`: a run with its steps, as it is or as it was, and on the workflow that it followed.

use std::{fmt::Write, process::ExitCode};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Args;
use events::id::{OrgId, PayerId, RunId, TaskTypeId, WorkflowId};
use projector::{
    history::{self, Point},
    query::Run,
    registration,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use sqlx::PgConnection;

use super::{
    followed::Followed,
    no_row,
    required::{About, Required},
    the_org, the_run,
};
use crate::{
    commands::point::{PointArgs, check_is_past, print_point},
    output,
    settings::Settings,
};

/// Show a run with its steps, as it is or as it was
///
/// As it was is what today's program makes of the events of then. Both clocks may be given: what had
/// happened by one time, as far as it was known at another.
#[derive(Args)]
pub struct Show {
    /// The run's id
    run: RunId,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    #[command(flatten)]
    point: PointArgs,
    /// With what had to be known when it started: the requirements for its payer and kind of task
    ///
    /// Which these are its context says: `payer_id` and `task_type_id`.
    #[arg(long)]
    requirements: bool,
    /// The kind of task, where the run's context does not say it
    #[arg(long, requires = "requirements")]
    task_type: Option<TaskTypeId>,
    /// The payer, where the run's context does not say it
    #[arg(long, requires = "requirements")]
    payer: Option<PayerId>,
    /// Print JSON: the run's columns, `steps`, `workflow` with the steps on its nodes, if it names one, and `requirements`
    #[arg(long)]
    json: bool,
}

impl Show {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let row = match self.point.past() {
            None => the_run(&mut conn, self.run, self.org).await?,
            Some(point) => self.past_row(&mut conn, point).await?,
        };
        let required = match self.requirements {
            true => {
                let about = About { task_type: self.task_type, payer: self.payer };
                Some(Required::of(&mut conn, &row, about).await?)
            }
            false => None,
        };
        if self.json {
            let followed = Followed::of(&mut conn, &row).await?;
            let workflow = followed.map(|followed| followed.json()).transpose()?;
            let required = required.map(|required| required.json()).transpose()?;
            output::json(&with_members(&row, [("workflow", workflow), ("requirements", required)])?)?;
        } else {
            self.point.past().map(print_point).transpose()?;
            print_run(&mut conn, &row).await?;
            if let Some(required) = required {
                required.print()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The run as it was. The workflow that it followed is then, too, what it was: whoever asks this connection for it is
    /// told so.
    async fn past_row(&self, conn: &mut PgConnection, point: Point) -> anyhow::Result<Box<RawValue>> {
        let org_id = the_org(conn, self.run, self.org).await?;
        check_is_past(conn, org_id, point).await?;
        let [row] = history::run_at(conn, org_id, self.run, [point]).await?;
        let Some(row) = row else { return Err(no_row(conn, org_id, self.run, point).await?) };
        let Shown { workflow_id, .. } = serde_json::from_str(row.get())?;
        if let Some(workflow_id) = workflow_id {
            let workflows = registration("user_workflow")?;
            history::recall(conn, workflows, &[org_id], Some(workflow_id.subject()), point).await?;
        }
        Ok(row)
    }
}

/// The row with these members too. It goes on as PostgreSQL wrote it: parsed and written again, its numbers could be
/// others.
fn with_members<const N: usize>(row: &RawValue, members: [(&str, Option<Value>); N]) -> anyhow::Result<Box<RawValue>> {
    let mut json = row.get().strip_suffix('}').unwrap_or_default().to_owned();
    for (name, value) in members.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        write!(json, ",\"{name}\":{value}")?;
    }
    Ok(RawValue::from_string(json + "}")?)
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
    metadata: serde_json::Map<String, Value>,
    flags: Vec<String>,
}

/// Prints a run, as [`run_show`](projector::query::run_show) gives it, with its steps, also on its workflow.
pub async fn print_run(conn: &mut PgConnection, row: &RawValue) -> anyhow::Result<()> {
    print_steps(row)?;
    match Followed::of(conn, row).await? {
        Some(followed) => followed.print(),
        None => Ok(()),
    }
}

fn print_steps(row: &RawValue) -> anyhow::Result<()> {
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

//! `runledger workflows`: look at workflow definitions and their revisions.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use events::id::{OrgId, WorkflowId};
use projector::{
    history::{self, Point},
    query, registration,
};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::{commands::point::check_is_past, settings::Settings, workflow::Workflow};

mod diff;
mod list;
mod show;

/// Look at workflow definitions: list, show, diff
#[derive(Args)]
pub struct Workflows {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(list::List),
    Show(show::Show),
    Diff(diff::Diff),
}

impl Workflows {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::List(list) => list.run(settings).await,
            Action::Show(show) => show.run(settings).await,
            Action::Diff(diff) => diff.run(settings).await,
        }
    }
}

/// The one workflow of this id as it was.
async fn the_past_workflow(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    org_id: Option<OrgId>,
    revision: Option<i32>,
    point: Point,
) -> anyhow::Result<(Box<RawValue>, Workflow)> {
    let (_, Workflow { org_id, .. }) = the_workflow(conn, workflow_id, org_id, None).await?;
    check_is_past(conn, org_id, point).await?;
    history::recall(conn, registration("user_workflow")?, &[org_id], Some(workflow_id.subject()), point).await?;
    if query::workflow_show(conn, workflow_id, Some(org_id), None).await?.is_empty() {
        return Err(anyhow!(
            "workflow {workflow_id} did not exist at that point; show it without --as-of and --known-at"
        ));
    }
    the_workflow(conn, workflow_id, Some(org_id), revision).await
}

/// The one workflow of this id, as [`query::workflow_show`] gives it, with this revision or the current one.
async fn the_workflow(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    org_id: Option<OrgId>,
    revision: Option<i32>,
) -> anyhow::Result<(Box<RawValue>, Workflow)> {
    let mut rows = query::workflow_show(conn, workflow_id, org_id, revision).await?;
    let Some(row) = rows.pop() else {
        return Err(anyhow!("there is no workflow {workflow_id}; `runledger workflows list` shows which there are"));
    };
    if !rows.is_empty() {
        rows.push(row);
        let orgs: Vec<String> = rows
            .iter()
            .map(|row| Workflow::of_row(row).map(|workflow| workflow.org_id.to_string()))
            .collect::<Result<_, _>>()?;
        return Err(anyhow!(
            "workflow {workflow_id} occurs in several orgs: say which with --org: {}",
            orgs.join(", ")
        ));
    }
    let workflow = Workflow::of_row(&row)?;
    if workflow.definition.is_none()
        && let Some(revision) = revision
    {
        return Err(anyhow!(
            "workflow {workflow_id} has no revision {revision}; there are {}",
            workflow.revisions_known()
        ));
    }
    Ok((row, workflow))
}

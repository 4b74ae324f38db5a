//! `runledger workflows show`: a workflow, one of its revisions drawn.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use events::id::{OrgId, WorkflowId};

use super::{the_past_workflow, the_workflow};
use crate::{
    commands::point::{PointArgs, print_point},
    output,
    settings::Settings,
    workflow::{Definition, Mark, Workflow, draw},
};

/// Show a workflow: its revisions, and one of them drawn, as it is or as it was
#[derive(Args)]
pub struct Show {
    /// The workflow's id
    workflow: WorkflowId,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// The revision to draw [default: the current one]
    #[arg(long)]
    revision: Option<i32>,
    #[command(flatten)]
    point: PointArgs,
    /// Print JSON: the workflow's columns, `revisions`, and `definition`, the revision
    #[arg(long)]
    json: bool,
}

impl Show {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let (row, workflow) = match self.point.past() {
            None => the_workflow(&mut conn, self.workflow, self.org, self.revision).await?,
            Some(point) => the_past_workflow(&mut conn, self.workflow, self.org, self.revision, point).await?,
        };
        if self.json {
            output::json(&row)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.point.past().map(print_point).transpose()?;
        print_head(&workflow)?;
        print_revisions(&workflow)?;
        let definition = workflow.definition.as_ref().context("the workflow has no definition")?;
        output::print(format!("revision {}: {}", definition.revision, output::printable(&definition.name)))?;
        print_definition(definition)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn print_head(workflow: &Workflow) -> anyhow::Result<()> {
    let name = output::printable(&workflow.name);
    output::print(format!("workflow {}  {name}  {}", workflow.workflow_id, workflow.status.to_uppercase()))?;
    let facts = [
        ("org", Some(workflow.org_id.to_string())),
        ("description", workflow.description.clone()),
        ("created", Some(output::time(Some(workflow.created_at)))),
        ("updated", Some(output::time(Some(workflow.updated_at)))),
        ("archived", workflow.archived_at.map(|time| output::time(Some(time)))),
        ("because", workflow.archive_reason.clone()),
        ("flags", (!workflow.flags.is_empty()).then(|| workflow.flags.join(" "))),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        output::print(format!("  {name:<12} {}", output::printable(&value)))?;
    }
    Ok(())
}

fn print_revisions(workflow: &Workflow) -> anyhow::Result<()> {
    let mut table = output::table(&["#revision", "name", "sent", "#nodes", "#transitions", "flags"]);
    for kept in &workflow.revisions {
        output::row(
            &mut table,
            [
                kept.revision.to_string(),
                kept.name.clone(),
                output::time(Some(kept.created_at)),
                kept.node_count.to_string(),
                kept.transition_count.to_string(),
                kept.flags.join(" "),
            ],
        );
    }
    Ok(output::print(table)?)
}

fn print_definition(definition: &Definition) -> anyhow::Result<()> {
    let graph = definition.graph();
    let marks: Vec<Mark> = definition
        .nodes
        .iter()
        .map(|node| {
            let kind = node.kind.as_ref().map(|kind| format!("({})", kind.as_str()));
            let parts = [Some(node.label.as_str().to_owned()), kind, definition.conditions(node.node_id)];
            let text: Vec<String> = parts.into_iter().flatten().collect();
            Mark { sign: '○', text: output::printable(&text.join("  ")) }
        })
        .collect();
    for line in draw(&graph, &marks, &vec![false; graph.edges.len()]) {
        output::print(line)?;
    }
    Ok(())
}

//! `runledger workflows diff`: what differs between two revisions of a workflow.

use std::{collections::HashMap, process::ExitCode};

use anyhow::Context;
use clap::Args;
use events::id::{NodeId, OrgId, WorkflowId};
use events::payload::{WorkflowNode, WorkflowTransition};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::the_workflow;
use crate::{
    output,
    settings::Settings,
    workflow::{Part, RevisionDifference, Workflow},
};

/// Say what differs between two revisions of a workflow: nodes and transitions added, removed, changed
#[derive(Args)]
pub struct Diff {
    /// The workflow's id
    workflow: WorkflowId,
    /// The earlier revision
    #[arg(long, value_name = "REVISION")]
    from: i32,
    /// The later revision [default: the current one]
    #[arg(long, value_name = "REVISION")]
    to: Option<i32>,
    /// Its org, where the id occurs in several; read as its tenant
    #[arg(long)]
    org: Option<OrgId>,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut conn = settings.connect_to_read(self.org).await?;
        let (from_row, from) = the_workflow(&mut conn, self.workflow, self.org, Some(self.from)).await?;
        let (to_row, to) = the_workflow(&mut conn, self.workflow, Some(from.org_id), self.to).await?;
        let difference = RevisionDifference::between(definition(&from_row)?, definition(&to_row)?)?;
        let to_revision = self.to.unwrap_or(to.revision);
        if self.json {
            output::json(&json!({
                "org_id": from.org_id, "workflow_id": self.workflow, "from": self.from, "to": to_revision,
                "fields": difference.fields, "nodes": difference.nodes, "transitions": difference.transitions,
            }))?;
        } else if difference.is_empty() {
            output::print(format!("nothing differs between revisions {} and {to_revision}", self.from))?;
        } else {
            print(&difference, &labels(&from, &to))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The row of the revision within that of the workflow.
fn definition(row: &RawValue) -> anyhow::Result<&RawValue> {
    #[derive(Deserialize)]
    struct Shown<'a> {
        #[serde(borrow)]
        definition: Option<&'a RawValue>,
    }
    let shown: Shown<'_> = serde_json::from_str(row.get())?;
    shown.definition.context("the workflow has no definition")
}

/// What nodes are called, by the later of the two revisions that has them.
fn labels(from: &Workflow, to: &Workflow) -> HashMap<NodeId, String> {
    let nodes = [from, to].into_iter().filter_map(|workflow| workflow.definition.as_ref());
    nodes.flat_map(|definition| &definition.nodes).map(|node| (node.node_id, node.label.as_str().to_owned())).collect()
}

fn print(difference: &RevisionDifference, labels: &HashMap<NodeId, String>) -> anyhow::Result<()> {
    let mut table = output::table(&["part", "change", "field", "from", "to"]);
    let name = |node_id: NodeId| labels.get(&node_id).cloned().unwrap_or_else(|| node_id.to_string());
    for field in &difference.fields.0 {
        let both = [&field.from, &field.to].map(|value| output::or_dash(value.as_ref()));
        output::row(
            &mut table,
            [&["workflow".to_owned(), "changed".to_owned(), field.path.clone()][..], &both].concat(),
        );
    }
    for part in &difference.nodes {
        let node: WorkflowNode = serde_json::from_str(part.part.get())?;
        rows(&mut table, &format!("node {}", name(node.node_id)), part);
    }
    for part in &difference.transitions {
        let transition: WorkflowTransition = serde_json::from_str(part.part.get())?;
        rows(&mut table, &format!("{} → {}", name(transition.from), name(transition.to)), part);
    }
    Ok(output::print(table)?)
}

fn rows(table: &mut comfy_table::Table, name: &str, part: &Part) {
    if part.fields.is_empty() {
        output::row(table, [name, part.change, "", "", ""]);
    }
    for field in &part.fields.0 {
        let [from, to] = [&field.from, &field.to].map(|value| output::or_dash(value.as_ref()));
        output::row(table, [name, part.change, &field.path, &from, &to]);
    }
}

//! The workflow that a run followed, with the run's steps on it.

use events::id::{OrgId, WorkflowId};
use projector::query;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sqlx::PgConnection;

use crate::{
    output,
    workflow::{Definition, Graph, Mark, Path, PathStep, Workflow, draw},
};

/// Labels are aligned up to so many characters.
const LABEL_CHARS_MAX: usize = 40;

/// What a run says that it followed.
#[derive(Deserialize)]
struct Run {
    org_id: OrgId,
    workflow_id: Option<WorkflowId>,
    workflow_revision: Option<i32>,
    steps: Vec<PathStep>,
}

/// A workflow that a run followed, with the run's steps.
pub struct Followed {
    workflow_id: WorkflowId,
    revision: Option<i32>,
    steps: Vec<PathStep>,
    /// Unless nothing is known of it.
    workflow: Option<Workflow>,
}

impl Followed {
    /// The workflow that this run names, if it names one. The row is as [`query::run_show`] gives it.
    pub async fn of(conn: &mut PgConnection, row: &RawValue) -> anyhow::Result<Option<Self>> {
        let run: Run = serde_json::from_str(row.get())?;
        let Some(workflow_id) = run.workflow_id else { return Ok(None) };
        let revision = run.workflow_revision;
        let rows = query::workflow_show(conn, workflow_id, Some(run.org_id), revision).await?;
        let workflow = rows.first().map(|row| Workflow::of_row(row)).transpose()?;
        Ok(Some(Self { workflow_id, revision, steps: run.steps, workflow }))
    }

    fn definition(&self) -> Option<&Definition> {
        self.workflow.as_ref()?.definition.as_ref()
    }

    /// What is to be said about the definition.
    fn note(&self) -> Option<String> {
        match (&self.workflow, self.revision) {
            (None, _) => {
                Some(format!("no event has defined workflow {} yet: there is nothing to draw", self.workflow_id))
            }
            (Some(workflow), Some(revision)) if workflow.definition.is_none() => Some(format!(
                "no event has defined revision {revision} of the workflow: there is nothing to draw; known are {}",
                workflow.revisions_known()
            )),
            (Some(workflow), None) => Some(format!(
                "the run does not say which revision it followed: this is the current one, {}",
                workflow.revision
            )),
            _ => None,
        }
    }

    /// Prints the run's steps on the graph, and says what cannot be shown.
    pub fn print(&self) -> anyhow::Result<()> {
        if let Some(definition) = self.definition() {
            let name = output::printable(&definition.name);
            output::print(format!("{name}, revision {}; ┃ is the path taken, ○ no step:", definition.revision))?;
        }
        if let Some(note) = self.note() {
            output::print(note)?;
        }
        let Some(definition) = self.definition() else { return Ok(()) };
        let graph = definition.graph();
        let path = Path::of(definition, &graph, &self.steps);
        for line in draw(&graph, &marks(definition, &path), &path.is_taken) {
            output::print(line)?;
        }
        for step in &path.elsewhere {
            let node =
                step.node_id.map_or("no node".to_owned(), |node_id| format!("node {node_id}, which is not in it"));
            output::print(format!("step {} ({}) is of {node}", step.step_id, step.status))?;
        }
        Ok(())
    }

    /// As JSON, with the steps on their nodes.
    pub fn json(&self) -> anyhow::Result<Value> {
        let mut workflow = json!({
            "workflow_id": self.workflow_id, "revision": self.definition().map(|it| it.revision), "note": self.note(),
            "name": self.definition().map(|definition| &definition.name),
        });
        if let Some(definition) = self.definition() {
            let graph = definition.graph();
            let path = Path::of(definition, &graph, &self.steps);
            workflow["nodes"] = nodes(definition, &graph, &path);
            workflow["transitions"] = transitions(definition, &path)?;
            workflow["steps_on_no_node"] = path.elsewhere.iter().map(|step| json!(step.step_id)).collect();
        }
        Ok(workflow)
    }
}

fn marks(definition: &Definition, path: &Path<'_>) -> Vec<Mark> {
    let labels: Vec<String> = definition.nodes.iter().map(|node| output::printable(node.label.as_str())).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).min(LABEL_CHARS_MAX);
    let mark = |((node, label), steps): ((&events::payload::WorkflowNode, String), &Vec<&PathStep>)| {
        let status = match steps[..] {
            [] => String::new(),
            [step] => step.status.clone(),
            [.., last] => format!("{} ×{}", last.status, steps.len()),
        };
        let sign = match steps.last().map(|step| step.status.as_str()) {
            None | Some("pending" | "skipped") => '○',
            Some("failed") => '✗',
            Some(_) => '●',
        };
        let duration = steps.last().and_then(|step| step.duration_ms).map(|ms| output::duration(Some(ms)));
        let condition = definition.conditions(node.node_id).map(|text| output::printable(&text));
        let told = format!(
            "{label:<width$}  {status:<9}  {:<10}  {}",
            duration.unwrap_or_default(),
            condition.unwrap_or_default()
        );
        Mark { sign, text: told.trim_end().to_owned() }
    };
    definition.nodes.iter().zip(labels).zip(&path.on_nodes).map(mark).collect()
}

fn nodes(definition: &Definition, graph: &Graph, path: &Path<'_>) -> Value {
    let nodes = definition.nodes.iter().zip(&graph.layers).zip(&path.on_nodes);
    nodes
        .map(|((node, layer), steps)| {
            json!({
                "node_id": node.node_id, "label": node.label, "kind": node.kind, "layer": layer,
                "status": steps.last().map(|step| &step.status),
                "steps": steps.iter().map(|step| step.step_id).collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn transitions(definition: &Definition, path: &Path<'_>) -> serde_json::Result<Value> {
    let transitions = definition.transitions.iter().zip(&path.is_taken);
    transitions
        .map(|(transition, is_taken)| {
            let mut shown = serde_json::to_value(transition)?;
            shown["is_taken"] = json!(is_taken);
            Ok(shown)
        })
        .collect()
}

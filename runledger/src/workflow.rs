//! Workflows as commands show them: a definition with its graph, drawn, compared, and with the steps of a run on it.

use chrono::{DateTime, Utc};
use events::{
    id::{NodeId, OrgId, WorkflowId},
    payload::{WorkflowNode, WorkflowTransition, value::Json},
};
use serde::Deserialize;
use serde_json::value::RawValue;

mod difference;
mod drawing;
mod graph;
mod path;

pub use difference::{Part, RevisionDifference};
pub use drawing::{Mark, draw};
pub use graph::Graph;
pub use path::{Path, PathStep};

/// A workflow, as [`workflow_show`](projector::query::workflow_show) gives it.
#[derive(Deserialize)]
pub struct Workflow {
    pub org_id: OrgId,
    pub workflow_id: WorkflowId,
    pub name: String,
    pub description: Option<String>,
    pub revision: i32,
    pub status: String,
    pub archived_at: Option<DateTime<Utc>>,
    pub archive_reason: Option<String>,
    pub flags: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub revisions: Vec<Revision>,
    pub definition: Option<Definition>,
}

/// What is known of a revision without its graph.
#[derive(Deserialize)]
pub struct Revision {
    pub revision: i32,
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub node_count: i32,
    pub transition_count: i32,
    pub flags: Vec<String>,
}

/// A row of `workflow_revision`.
#[derive(Deserialize)]
pub struct Definition {
    pub revision: i32,
    pub name: String,
    pub nodes: Vec<WorkflowNode>,
    pub transitions: Vec<WorkflowTransition>,
}

impl Workflow {
    /// Reads it from its row.
    ///
    /// # Errors
    /// When the row is no workflow's.
    pub fn of_row(row: &RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(row.get())
    }

    /// Which revisions there are, for people.
    pub fn revisions_known(&self) -> String {
        let numbers: Vec<String> = self.revisions.iter().map(|kept| kept.revision.to_string()).collect();
        numbers.join(", ")
    }
}

impl Definition {
    /// Its graph, by the places of its nodes.
    pub fn graph(&self) -> Graph {
        Graph::of(&self.nodes, &self.transitions)
    }

    /// Under which conditions a node is come to, if under any.
    pub fn conditions(&self, node_id: NodeId) -> Option<String> {
        let to_it = self.transitions.iter().filter(|transition| transition.to == node_id);
        let conditions: Vec<String> = to_it.filter_map(|it| it.condition.as_ref()).map(condition).collect();
        (!conditions.is_empty()).then(|| format!("if {}", conditions.join(" or ")))
    }
}

/// A condition for people: text as it is, anything else as JSON.
pub fn condition(json: &Json) -> String {
    serde_json::from_str(json.as_str()).unwrap_or_else(|_| json.to_string())
}

//! The payload that `workflow.created` and `workflow.revised` share: one revision of a workflow, whole.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    id::{NodeId, UserId},
    payload::{
        integer,
        value::{self, IndexedText, Json, Object, Text},
    },
    refusal::Refusal,
};

mod graph;
#[cfg(test)]
mod tests;

/// A revision of a workflow: its name and the whole graph of its steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowDefinition {
    /// What people call the workflow.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub name: Text,
    /// Which revision it is, from 1. The greatest is the current one; runs name the one that they follow.
    #[serde(deserialize_with = "integer::one_or_more")]
    #[cfg_attr(feature = "schema", schemars(with = "i32", range(min = 1)))]
    pub revision: i32,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<UserId>,
    /// Its nodes, at least one, each id once.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub nodes: Vec<WorkflowNode>,
    /// What leads from node to node, without a cycle. Several from one node are branches, several to one node
    /// a join. Where there are none, no step follows another.
    #[serde(default, deserialize_with = "transitions", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<WorkflowTransition>>"))]
    pub transitions: Vec<WorkflowTransition>,
}

/// A node of a workflow: what a step of its runs does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowNode {
    /// The node, unique within its workflow and the same in every revision; steps name it.
    pub node_id: NodeId,
    /// What people call it.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub label: Text,
    /// What sort of node it is, e.g. `task`, `decision`, `join`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<IndexedText>,
    /// Whatever is worth noting; above all `agent_type`, a text, and `agent_config`, an object: who does it and how.
    #[serde(default, deserialize_with = "metadata", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "metadata_schema"))]
    pub metadata: Option<Object>,
}

/// A transition of a workflow: which node may follow which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowTransition {
    /// The node that it leaves.
    pub from: NodeId,
    /// The node that it leads to.
    pub to: NodeId,
    /// When it is taken: any JSON value, in the language of whoever runs the workflow. Absent: always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Json>,
}

impl WorkflowDefinition {
    /// Itself, if its graph is one that a run can follow from a start to an end.
    ///
    /// # Errors
    /// `invalid_event` for a node id that occurs twice, a transition to or from no node, a graph without a
    /// start and a cycle; the reason begins with the place as a JSON Pointer.
    pub(super) fn checked(self) -> Result<Self, Refusal> {
        graph::check(&self.nodes, &self.transitions)?;
        Ok(self)
    }
}

fn transitions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WorkflowTransition>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Object>, D::Error> {
    let metadata = Option::<Object>::deserialize(deserializer)?;
    if let Some(metadata) = metadata.as_ref().filter(|metadata| !metadata.is_protected()) {
        if metadata.get("agent_type").is_some() {
            metadata.read::<Option<Text>>("agent_type").map_err(D::Error::custom)?;
        }
        if metadata.get("agent_config").is_some() {
            metadata.read::<Option<Object>>("agent_config").map_err(D::Error::custom)?;
        }
    }
    Ok(metadata)
}

#[cfg(feature = "schema")]
fn metadata_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": ["object", "null"],
        "properties": {
            "agent_type": { "type": ["string", "object", "null"] },
            "agent_config": { "type": ["object", "null"] },
        },
    })
}

//! `step.created`

use serde::{Deserialize, Serialize};

use crate::{
    id::{NodeId, StepId},
    payload::{integer, value::Object},
};

/// A step of a run is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepCreated {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// The node of the workflow that it is a step of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// Its place among the steps of its run.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub step_number: Option<i32>,
    /// What the service notes about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// The step's number in the system before this one.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub legacy_step_id: Option<i64>,
}

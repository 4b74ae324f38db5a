//! `step.started`

use serde::{Deserialize, Serialize};

use crate::{
    id::{NodeId, StepId},
    payload::{
        integer,
        value::{Json, Object},
    },
};

/// An attempt of a step begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepStarted {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// Which attempt of the step: 0 is the first, and what is meant when it is absent.
    #[serde(default, deserialize_with = "integer::attempt")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<i32>", range(min = 0)))]
    pub attempt: i32,
    /// The node of the workflow that it is a step of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// Its place among the steps of its run.
    #[serde(default, deserialize_with = "integer::optional", skip_serializing_if = "Option::is_none")]
    pub step_number: Option<i32>,
    /// What it works on: any JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_data: Option<Json>,
    /// What the service notes about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
}

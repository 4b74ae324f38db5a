//! `step.completed`

use serde::{Deserialize, Serialize};

use crate::{
    id::StepId,
    payload::{integer, value::Json},
};

/// An attempt of a step reached its goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepCompleted {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// Which attempt of the step: 0 is the first, and what is meant when it is absent.
    #[serde(default, deserialize_with = "integer::attempt")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<i32>", range(min = 0)))]
    pub attempt: i32,
    /// What came of it: any JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_data: Option<Json>,
}

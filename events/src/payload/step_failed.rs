//! `step.failed`

use serde::{Deserialize, Serialize};

use crate::{
    id::StepId,
    payload::{
        integer,
        value::{self, Json, Text},
    },
};

/// An attempt of a step ended without reaching its goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepFailed {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// Which attempt of the step: 0 is the first, and what is meant when it is absent.
    #[serde(default, deserialize_with = "integer::attempt")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<i32>", range(min = 0)))]
    pub attempt: i32,
    /// What went wrong, for people.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub error_message: Text,
    /// What went wrong, for programs: any JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_details: Option<Json>,
}

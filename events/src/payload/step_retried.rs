//! `step.retried`

use serde::{Deserialize, Serialize};

use crate::{
    id::StepId,
    payload::{integer, value::Text},
};

/// A step is about to be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepRetried {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// The attempt that is about to be made: 1 is the first retry.
    #[serde(deserialize_with = "integer::one_or_more")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub attempt: i32,
    /// What went wrong before, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<Text>,
}

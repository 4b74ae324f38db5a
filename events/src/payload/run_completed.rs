//! `run.completed`

use serde::{Deserialize, Serialize};

use crate::payload::value::Object;

/// A run reached its goal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunCompleted {
    /// Keys that the run is found by; each key is settled by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Object>,
}

//! `task_type.retired`

use serde::{Deserialize, Serialize};

use crate::payload::value::Text;

/// A kind of task is no longer asked for. What refers to it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskTypeRetired {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

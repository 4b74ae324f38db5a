//! `batch.failed`

use serde::{Deserialize, Serialize};

use crate::payload::value::{self, Json, Text};

/// A batch ended as a whole without reaching its goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchFailed {
    /// What went wrong, for people.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub error_message: Text,
    /// What went wrong, for programs: any JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_details: Option<Json>,
}

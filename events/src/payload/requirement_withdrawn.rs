//! `requirement.withdrawn`

use serde::{Deserialize, Serialize};

use crate::{
    id::UserId,
    payload::value::{self, IndexedText, Text},
};

/// A field is no longer asked of everyone for a kind of task. Of the shared org alone. The subject is the task type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequirementWithdrawn {
    /// The field.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub field: IndexedText,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Who wants it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<UserId>,
}

//! `micro_state.labelled`

use serde::{Deserialize, Serialize};

use crate::{
    id::UserId,
    payload::value::{self, IndexedText},
};

/// Somebody said what a screen is. The latest label holds. The subject is the micro-state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MicroStateLabelled {
    /// What it is, such as `eligibility_result`.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub label: IndexedText,
    /// Who said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labelled_by: Option<UserId>,
}

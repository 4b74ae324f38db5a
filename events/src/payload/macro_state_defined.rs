//! `macro_state.defined`

use serde::{Deserialize, Serialize};

use crate::{
    id::{MicroStateId, UserId},
    payload::value::{self, IndexedText, Text},
};

/// Somebody said that screens are one and the same to a service, and what to call them. It replaces what was defined
/// before. The subject is the macro-state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MacroStateDefined {
    /// What people call it.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub name: IndexedText,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The kind of portal where it occurs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal_type: Option<IndexedText>,
    /// The label whose micro-states belong to it …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<IndexedText>,
    /// … and those that belong to it whatever their labels are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_state_ids: Option<Vec<MicroStateId>>,
    /// Who said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defined_by: Option<UserId>,
}

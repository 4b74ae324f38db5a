//! `macro_state.defined`

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    id::{MicroStateId, UserId},
    payload::value::{self, IndexedText, Text},
    refusal::{Code, Refusal},
};

/// So many micro-states a definition names at most; screens by the thousand have a label in common.
pub const MICRO_STATES_MAX: usize = 1_000;

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
    #[serde(default, deserialize_with = "so_many", skip_serializing_if = "Option::is_none")]
    pub micro_state_ids: Option<Vec<MicroStateId>>,
    /// Who said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defined_by: Option<UserId>,
}

fn so_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<MicroStateId>>, D::Error> {
    let ids = Option::<Vec<MicroStateId>>::deserialize(deserializer)?;
    match &ids {
        Some(ids) if ids.len() > MICRO_STATES_MAX => {
            let reason =
                format!("it names {} micro-states; name at most {MICRO_STATES_MAX}, or give them a label", ids.len());
            Err(D::Error::custom(Refusal::new(Code::InvalidEvent, reason)))
        }
        _ => Ok(ids),
    }
}

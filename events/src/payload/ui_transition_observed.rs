//! `ui_transition.observed`

use serde::{Deserialize, Serialize};

use crate::{
    id::{MicroStateId, RunId, StepId},
    payload::value::{self, IndexedText},
};

/// A service did something on a screen and came to another, or to the same. The subject is the micro-state that it
/// came from, which `from` names too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UiTransitionObserved {
    /// The micro-state that it came from.
    pub from: MicroStateId,
    /// What it did, without whatever it entered, such as `click Search`.
    #[serde(deserialize_with = "value::indexed_not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub action: IndexedText,
    /// The micro-state that it came to.
    pub to: MicroStateId,
    /// The run in which it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The step of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_id: Option<StepId>,
}

//! `run.context_added`

use serde::{Deserialize, Serialize};

use crate::payload::value::Object;

/// More is known of what a run is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunContextAdded {
    /// Keys that the run is found by; each key is settled by itself.
    pub context: Object,
}

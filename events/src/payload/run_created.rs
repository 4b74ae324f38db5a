//! `run.created`

use serde::{Deserialize, Serialize};

use crate::payload::RunAttributes;

/// A run is asked for; it has not begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RunCreated(pub RunAttributes);

//! `run.started`

use serde::{Deserialize, Serialize};

use crate::payload::RunAttributes;

/// A run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RunStarted(pub RunAttributes);

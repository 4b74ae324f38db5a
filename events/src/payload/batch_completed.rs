//! `batch.completed`

use serde::{Deserialize, Serialize};

/// A batch is done with, however its rows ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchCompleted {}

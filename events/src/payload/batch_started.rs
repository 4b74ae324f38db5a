//! `batch.started`

use serde::{Deserialize, Serialize};

use crate::payload::BatchAttributes;

/// A batch has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct BatchStarted(pub BatchAttributes);

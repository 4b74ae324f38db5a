//! `batch.submitted`

use serde::{Deserialize, Serialize};

use crate::payload::BatchAttributes;

/// A batch of rows is handed in; none of them has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct BatchSubmitted(pub BatchAttributes);

//! `batch.cancelled`

use serde::{Deserialize, Serialize};

use crate::{id::UserId, payload::value::Text};

/// A batch was ended by somebody's wish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchCancelled {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<UserId>,
}

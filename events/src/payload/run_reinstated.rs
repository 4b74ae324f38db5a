//! `run.reinstated`

use serde::{Deserialize, Serialize};

use crate::{id::UserId, payload::value::Text};

/// A run that was retracted belongs on record after all: the read models have it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunReinstated {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reinstated_by: Option<UserId>,
}

//! `run.retracted`

use serde::{Deserialize, Serialize};

use crate::{
    id::UserId,
    payload::value::{self, Text},
};

/// A run should not be on record: the read models drop it, the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunRetracted {
    /// Why, for people.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub reason: Text,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retracted_by: Option<UserId>,
}

//! `endpoint.retired`

use serde::{Deserialize, Serialize};

use crate::payload::value::Text;

/// An endpoint is no longer used. What refers to it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndpointRetired {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

//! `org.deactivated`

use serde::{Deserialize, Serialize};

use crate::payload::value::Text;

/// An org no longer works with the services. Its events are still taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgDeactivated {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

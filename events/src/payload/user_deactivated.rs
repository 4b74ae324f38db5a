//! `user.deactivated`

use serde::{Deserialize, Serialize};

use crate::payload::value::Text;

/// A user may no longer work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserDeactivated {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

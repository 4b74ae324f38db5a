//! `user.registered`

use serde::{Deserialize, Serialize};

use crate::payload::value::{self, Text, TextList};

/// A user comes to be. The subject is the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserRegistered {
    /// Where mail reaches the user.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub email: Text,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Text>,
    /// What the user may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<TextList>,
}

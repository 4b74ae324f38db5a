//! `user.updated`

use serde::{Deserialize, Serialize};

use crate::payload::value::{self, Text, TextList};

/// Something about a user changed; what is optional and absent stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserUpdated {
    /// Where mail reaches the user.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub email: Text,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Text>,
    /// What the user may do, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<TextList>,
}

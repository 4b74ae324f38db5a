//! `user.updated`

use serde::{Deserialize, Serialize};

use crate::payload::value::{self, Text, TextList};

/// Something about a user changed; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserUpdated {
    /// Where mail reaches the user.
    #[serde(default, deserialize_with = "value::optional_not_empty", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub email: Option<Text>,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Text>,
    /// What the user may do, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<TextList>,
}

//! `org.updated`

use serde::{Deserialize, Serialize};

use crate::payload::value::{self, Object, Text};

/// Something about an org changed; what is optional and absent stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgUpdated {
    /// What people call it.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub name: Text,
    /// Kind of organisation, a code of `org_type_lu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_type: Option<Text>,
    /// Its settings, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Object>,
}

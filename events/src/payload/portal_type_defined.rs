//! `portal_type.defined`

use serde::{Deserialize, Serialize};

use crate::payload::value::{self, IndexedText, Object, Text};

/// A kind of portal, such as a payer's or a clearing house's, as it is from now on: whatever an earlier
/// definition said and this one does not is gone. The subject is the portal type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PortalTypeDefined {
    /// What people call it.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub name: Text,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// How it is reached, a code of `channel_type_lu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_type: Option<IndexedText>,
    /// Where it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Text>,
    /// What every endpoint of it has in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Object>,
}

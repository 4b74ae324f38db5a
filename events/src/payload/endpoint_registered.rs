//! `endpoint.registered`

use serde::{Deserialize, Serialize};

use crate::{
    id::PortalTypeId,
    payload::value::{self, IndexedText, Object, Text},
};

/// A portal account, telephone line or fax line that services may use from now on. The subject is the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndpointRegistered {
    /// What people call it.
    #[serde(deserialize_with = "value::not_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub name: Text,
    /// The kind of portal that it is one of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal_type_id: Option<PortalTypeId>,
    /// How it is reached, a code of `channel_type_lu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_type: Option<IndexedText>,
    /// How services prove there who they are, a code of `channel_auth_type_lu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<IndexedText>,
    /// Where it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Text>,
    /// Its settings, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Object>,
    /// The name under which a secrets manager keeps what services prove themselves with; never that itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<IndexedText>,
}

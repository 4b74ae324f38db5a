//! `endpoint.updated`

use serde::{Deserialize, Serialize};

use super::EndpointRegistered;
use crate::{
    id::PortalTypeId,
    payload::value::{self, IndexedText, Object, Text},
};

/// Something about an endpoint changed; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndpointUpdated {
    /// What people call it.
    #[serde(default, deserialize_with = "value::not_empty_if_any", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1)))]
    pub name: Option<Text>,
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

impl From<EndpointRegistered> for EndpointUpdated {
    /// What a registration says of the attributes.
    fn from(registered: EndpointRegistered) -> Self {
        let EndpointRegistered { name, portal_type_id, channel_type, auth_type, base_url, settings, secret_ref } =
            registered;
        Self { name: Some(name), portal_type_id, channel_type, auth_type, base_url, settings, secret_ref }
    }
}

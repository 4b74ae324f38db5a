//! `run.endpoint_used`

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{id::EndpointId, payload::value::Object};

/// A run used a portal, a phone line or a fax line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunEndpointUsed {
    /// The endpoint: its `endpoint_id`, and whatever else is worth noting; kept as sent.
    #[serde(deserialize_with = "with_endpoint_id")]
    #[cfg_attr(feature = "schema", schemars(extend("anyOf" = [
        { "required": ["endpoint_id"], "properties": { "endpoint_id": { "type": "string", "format": "uuid" } } },
        { "required": ["$protected"] },
    ])))]
    pub endpoint: Object,
}

fn with_endpoint_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
    let endpoint = Object::deserialize(deserializer)?;
    if !endpoint.is_protected() {
        endpoint.read::<EndpointId>("endpoint_id").map_err(D::Error::custom)?;
    }
    Ok(endpoint)
}

//! `step.screenshot_captured`

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    id::StepId,
    payload::value::{Object, Text},
    refusal::{Code, Refusal},
};

/// A step kept a picture of what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepScreenshotCaptured {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// The picture: its `uri`, perhaps its `sha256`, and whatever else is worth noting; kept as sent.
    #[serde(deserialize_with = "with_uri")]
    #[cfg_attr(feature = "schema", schemars(extend("anyOf" = [
        { "required": ["uri"], "properties": {
            "uri": { "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "object", "required": ["$protected"] }] },
            "sha256": { "type": ["string", "object", "null"] },
        } },
        { "required": ["$protected"] },
    ])))]
    pub screenshot: Object,
}

fn with_uri<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
    let screenshot = Object::deserialize(deserializer)?;
    if !screenshot.is_protected() {
        let uri: Text = screenshot.read("uri").map_err(D::Error::custom)?;
        if uri.as_str().is_empty() {
            return Err(D::Error::custom(Refusal::new(Code::InvalidEvent, "its `uri` is empty; send text")));
        }
        if screenshot.get("sha256").is_some() {
            screenshot.read::<Option<Text>>("sha256").map_err(D::Error::custom)?;
        }
    }
    Ok(screenshot)
}

//! Version 1 of `step.screenshot_captured`: one picture an event.
//!
//! What a picture is stands here and not beside version 2, which takes it from here as long as it means
//! the same: what version 1 accepts never changes.

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
    #[cfg_attr(feature = "schema", schemars(extend("anyOf" = screenshot_alternatives())))]
    pub screenshot: Object,
}

/// The one picture becomes a list of one.
impl From<StepScreenshotCaptured> for super::StepScreenshotCaptured {
    fn from(StepScreenshotCaptured { step_id, screenshot }: StepScreenshotCaptured) -> Self {
        Self { step_id, screenshots: vec![screenshot] }
    }
}

fn with_uri<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
    Screenshot::deserialize(deserializer).map(|Screenshot(screenshot)| screenshot)
}

/// [`Screenshot`] for a field that may be absent.
pub(in crate::payload) fn with_uri_if_any<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Object>, D::Error> {
    Ok(Option::<Screenshot>::deserialize(deserializer)?.map(|Screenshot(screenshot)| screenshot))
}

/// A picture that has a `uri`, or a protected value in its place.
pub(super) struct Screenshot(pub(super) Object);

impl<'de> Deserialize<'de> for Screenshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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
        Ok(Self(screenshot))
    }
}

/// What a picture may be, beyond an object.
#[cfg(feature = "schema")]
pub(super) fn screenshot_alternatives() -> serde_json::Value {
    serde_json::json!([
        { "required": ["uri"], "properties": {
            "uri": { "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "object", "required": ["$protected"] }] },
            "sha256": { "type": ["string", "object", "null"] },
        } },
        { "required": ["$protected"] },
    ])
}

/// What a picture may be where there may be none.
#[cfg(feature = "schema")]
pub(in crate::payload) fn optional_screenshot_alternatives() -> serde_json::Value {
    let mut alternatives = screenshot_alternatives();
    alternatives.as_array_mut().into_iter().for_each(|some| some.push(serde_json::json!({ "type": "null" })));
    alternatives
}

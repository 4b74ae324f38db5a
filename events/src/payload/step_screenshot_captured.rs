//! `step.screenshot_captured`, version 2: several pictures an event.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use self::v1::Screenshot;
use crate::{
    id::StepId,
    payload::value::Object,
    refusal::{Code, Refusal},
};

pub mod v1;

/// So many pictures are captured at once at most.
pub const SCREENSHOTS_MAX: usize = 100;

/// A step kept pictures of what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepScreenshotCaptured {
    /// The step, unique within its run.
    pub step_id: StepId,
    /// The pictures captured at once, such as viewport, full page and dialog, 1 to 100 in the order of
    /// the service's choice: of each its `uri`, perhaps its `sha256`, and whatever else is worth noting;
    /// kept as sent. A protected value in place of the whole list is its one picture.
    #[serde(deserialize_with = "one_to_a_hundred")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "screenshots_schema"))]
    pub screenshots: Vec<Object>,
}

fn one_to_a_hundred<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Object>, D::Error> {
    struct ListVisitor;

    impl<'de> Visitor<'de> for ListVisitor {
        type Value = Vec<Object>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of screenshots")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Object>, A::Error> {
            let mut screenshots = Vec::new();
            while let Some(Screenshot(screenshot)) = list.next_element()? {
                screenshots.push(screenshot);
            }
            if (1..=SCREENSHOTS_MAX).contains(&screenshots.len()) {
                return Ok(screenshots);
            }
            let reason = format!("it has {} screenshots; send 1 to {SCREENSHOTS_MAX}", screenshots.len());
            Err(A::Error::custom(Refusal::new(Code::InvalidEvent, reason)))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<Object>, A::Error> {
            let whole = Object::deserialize(MapAccessDeserializer::new(map))?;
            if whole.is_protected() {
                return Ok(vec![whole]);
            }
            Err(A::Error::custom(Refusal::new(Code::InvalidEvent, "it is an object; send a list of screenshots")))
        }
    }

    deserializer.deserialize_any(ListVisitor)
}

#[cfg(feature = "schema")]
fn screenshots_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [
        {
            "type": "array", "minItems": 1, "maxItems": SCREENSHOTS_MAX,
            "items": { "type": "object", "anyOf": v1::screenshot_alternatives() },
        },
        { "type": "object", "required": ["$protected"] },
    ] })
}

//! Which values a field may have.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::value::{INDEXED_BYTES_MAX, Json};
use crate::refusal::{Code, Refusal};

/// Which values a field may have: an object with at least one of
///
/// - `pattern`: a regular expression as ECMA-262 has it (that of JSON Schema), found anywhere in the text unless it
///   says `^` and `$`;
/// - `enum`: the values, at least one;
/// - `range`: `min`, `max` or both, inclusive; two numbers, or two dates such as `2026-01-31`.
///
/// Members that are not named here are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Validation(Json);

#[derive(Deserialize)]
struct Members {
    pattern: Option<String>,
    r#enum: Option<Vec<Json>>,
    range: Option<Range>,
}

#[derive(Deserialize)]
struct Range {
    min: Option<Bound>,
    max: Option<Bound>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a bound is a number, or a date such as 2026-01-31")]
enum Bound {
    Number(f64),
    Date(NaiveDate),
}

impl Bound {
    /// Whether a value could lie between the two.
    fn is_up_to(&self, max: &Self) -> bool {
        match (self, max) {
            (Self::Number(min), Self::Number(max)) => min <= max,
            (Self::Date(min), Self::Date(max)) => min <= max,
            _ => false,
        }
    }
}

impl Validation {
    /// The object as it was sent.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<Validation> for Json {
    fn from(Validation(json): Validation) -> Self {
        json
    }
}

impl TryFrom<Json> for Validation {
    type Error = Refusal;

    fn try_from(json: Json) -> Result<Self, Refusal> {
        if !json.as_str().starts_with('{') {
            return Err(invalid("it is no object; send one with pattern, enum or range"));
        }
        let members: Members = serde_json::from_str(json.as_str()).map_err(|error| Refusal::of_serde(&error))?;
        members.check()?;
        Ok(Self(json))
    }
}

impl Members {
    fn check(&self) -> Result<(), Refusal> {
        if let Some(pattern) = &self.pattern {
            if pattern.len() > INDEXED_BYTES_MAX {
                let bytes = pattern.len();
                return Err(invalid(format!("pattern has {bytes} bytes; send at most {INDEXED_BYTES_MAX}")));
            }
            regress::Regex::new(pattern)
                .map_err(|error| invalid(format!("pattern {pattern:?} is no regular expression: {error}")))?;
        }
        if self.r#enum.as_ref().is_some_and(Vec::is_empty) {
            return Err(invalid("enum has no value; send at least one"));
        }
        match &self.range {
            Some(Range { min: None, max: None }) => return Err(invalid("range has no bound; send min, max or both")),
            Some(Range { min: Some(min), max: Some(max) }) if !min.is_up_to(max) => {
                return Err(invalid("range goes from min to max: two numbers, or two dates, the lesser first"));
            }
            _ => {}
        }
        if self.pattern.is_none() && self.r#enum.is_none() && self.range.is_none() {
            return Err(invalid("it says nothing; send pattern, enum or range"));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Validation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidEvent, reason)
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Validation {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Validation".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let bound = schemars::json_schema!({ "anyOf": [{ "type": "number" }, { "type": "string", "format": "date" }] });
        schemars::json_schema!({
            "type": "object",
            "properties": {
                "pattern": { "type": ["string", "null"], "format": "regex", "maxLength": INDEXED_BYTES_MAX },
                "enum": { "type": ["array", "null"], "minItems": 1 },
                "range": {
                    "type": ["object", "null"],
                    "properties": { "min": bound, "max": bound },
                    "minProperties": 1,
                },
            },
            "minProperties": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_says_at_least_one_thing_and_none_that_cannot_be() {
        for good in [
            r#"{"pattern":"^[A-Z]{3}\\d{9}$"}"#,
            r#"{"pattern":"^(?=.*\\d).{8,}$","more":1}"#,
            r#"{"enum":["HMO",null]}"#,
            r#"{"range":{"min":0}}"#,
            r#"{"range":{"min":"1900-01-01","max":"2026-12-31"},"pattern":null}"#,
        ] {
            serde_json::from_str::<Validation>(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (bad, why) in [
            ("{}", "says nothing"),
            ("[]", "no object"),
            (r#"{"pattern":"("}"#, "regular expression"),
            (r#"{"pattern":7}"#, "string"),
            (r#"{"enum":[]}"#, "at least one"),
            (r#"{"range":{}}"#, "no bound"),
            (r#"{"range":{"min":2,"max":1}}"#, "from min to max"),
            (r#"{"range":{"min":2,"max":"2026-01-01"}}"#, "from min to max"),
            (r#"{"range":{"min":"soon"}}"#, "a bound is"),
        ] {
            let error = serde_json::from_str::<Validation>(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}

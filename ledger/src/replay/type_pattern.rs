//! Event types as people select them: one, or a family of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An event type, or with a final `*` all that begin like it: `run.started`, `run.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern(String);

/// Text that selects no event type.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no event type and no family of them; give one like run.started or run.*")]
pub struct InvalidTypePattern(String);

impl TypePattern {
    /// Whether the event type is one of these.
    pub fn matches(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(family) => event_type.starts_with(family),
            None => self.0 == event_type,
        }
    }
}

impl FromStr for TypePattern {
    type Err = InvalidTypePattern;

    fn from_str(text: &str) -> Result<Self, InvalidTypePattern> {
        let name = text.strip_suffix(".*").unwrap_or(text);
        let is_name = name.split('.').all(|token| !token.is_empty() && !token.contains(['*', ' ', '\t', '\r', '\n']));
        if is_name { Ok(Self(text.to_owned())) } else { Err(InvalidTypePattern(text.to_owned())) }
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TypePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TypePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_one_type_or_a_family() {
        let pattern = |text: &str| text.parse::<TypePattern>().unwrap();
        assert!(pattern("run.started").matches("run.started") && !pattern("run.started").matches("run.started.late"));
        assert!(pattern("run.*").matches("run.started") && !pattern("run.*").matches("runs.started"));
        assert!(pattern("custom.billing.*").matches("custom.billing.sent"));
        for bad in ["", "*", "run.", ".*", "run*", "run.*.x", "*.started", "a b"] {
            assert!(bad.parse::<TypePattern>().is_err(), "{bad}");
        }
    }
}

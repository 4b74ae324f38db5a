//! Free JSON and objects, kept as the text that they were sent as.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::PROTECTED;
use crate::refusal::{Code, Refusal};

/// Any JSON value as its exact text. Two are equal when their texts are.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON of a value; fails where `serde_json` cannot write it, as for a map whose keys are
    /// no strings.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether it is a protected value.
    pub fn is_protected(&self) -> bool {
        serde_json::from_str::<Object>(self.as_str()).is_ok_and(|object| object.is_protected())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

/// A JSON object whose values keep their exact text. A protected value is an object too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(BTreeMap<String, Json>);

impl Object {
    /// The object that a value is written as; fails for a value that is written as anything else.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&serde_json::to_string(value)?)
    }

    /// The value of this key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key)
    }

    /// Sets the value of a key; returns the one before.
    pub fn insert(&mut self, key: impl Into<String>, value: Json) -> Option<Json> {
        self.0.insert(key.into(), value)
    }

    /// The members, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a protected value stands in place of the object.
    pub fn is_protected(&self) -> bool {
        self.0.len() == 1 && self.0.contains_key(PROTECTED)
    }

    /// The value of this key as a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: &str) -> Result<T, Refusal> {
        let value = self
            .get(key)
            .ok_or_else(|| Refusal::new(Code::InvalidEvent, format!("its `{key}` is missing; every one has it")))?;
        serde_json::from_str(value.as_str()).map_err(|error| {
            let Refusal { code, reason } = Refusal::of_serde(&error);
            Refusal::new(code, format!("its `{key}`: {reason}"))
        })
    }
}

impl IntoIterator for Object {
    type Item = (String, Json);
    type IntoIter = std::collections::btree_map::IntoIter<String, Json>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

//! Texts, and lists of them.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Json, PROTECTED};
use crate::refusal::{Code, Refusal};

/// Text that tables are searched by has at most this many bytes.
pub const INDEXED_BYTES_MAX: usize = 512;

/// A text, or a protected value in its place: then the text is the value's JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    text: String,
    is_protected: bool,
}

impl Text {
    /// The text, or the JSON of the protected value.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a protected value stands in its place.
    pub fn is_protected(&self) -> bool {
        self.is_protected
    }

    fn protected<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let invalid = || A::Error::custom("a value in place of text is an object whose one key is `$protected`");
        if map.next_key::<String>()?.as_deref() != Some(PROTECTED) {
            return Err(invalid());
        }
        let value: Json = map.next_value()?;
        if !value.as_str().starts_with('{') || map.next_key::<String>()?.is_some() {
            return Err(invalid());
        }
        Ok(Self { text: format!("{{\"{PROTECTED}\":{value}}}"), is_protected: true })
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text, is_protected: false }
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.text
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_protected {
            serde_json::from_str::<&RawValue>(&self.text).map_err(serde::ser::Error::custom)?.serialize(serializer)
        } else {
            serializer.serialize_str(&self.text)
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(text.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                Text::protected(map)
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// Reads text that must have at least one character, be it white space.
pub fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
    let text = Text::deserialize(deserializer)?;
    if text.text.is_empty() {
        return Err(D::Error::custom(Refusal::new(Code::InvalidEvent, "it is empty; send text")));
    }
    Ok(text)
}

/// [`not_empty`] for a field that may be absent.
pub fn not_empty_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    #[derive(Deserialize)]
    struct NotEmpty(#[serde(deserialize_with = "not_empty")] Text);

    Ok(Option::<NotEmpty>::deserialize(deserializer)?.map(|NotEmpty(text)| text))
}

/// [`not_empty`] for a text that tables are searched by.
pub fn indexed_not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexedText, D::Error> {
    not_empty(deserializer)?.try_into().map_err(D::Error::custom)
}

/// A text that tables are searched by: at most [`INDEXED_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct IndexedText(Text);

impl IndexedText {
    /// The text, or the JSON of the protected value.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a protected value stands in its place.
    pub fn is_protected(&self) -> bool {
        self.0.is_protected
    }
}

impl TryFrom<Text> for IndexedText {
    type Error = Refusal;

    fn try_from(text: Text) -> Result<Self, Refusal> {
        let length = text.as_str().len();
        if length <= INDEXED_BYTES_MAX {
            return Ok(Self(text));
        }
        Err(Refusal::new(Code::InvalidEvent, format!("it has {length} bytes; send at most {INDEXED_BYTES_MAX}")))
    }
}

impl From<IndexedText> for String {
    fn from(IndexedText(text): IndexedText) -> Self {
        text.into()
    }
}

impl TryFrom<&str> for IndexedText {
    type Error = Refusal;

    fn try_from(text: &str) -> Result<Self, Refusal> {
        Text::from(text).try_into()
    }
}

impl<'de> Deserialize<'de> for IndexedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

/// A list of texts. A protected value in place of the whole list is its one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextList(Vec<Text>);

impl TextList {
    /// The texts.
    pub fn as_slice(&self) -> &[Text] {
        &self.0
    }
}

impl<T: Into<Text>> FromIterator<T> for TextList {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(texts.into_iter().map(Into::into).collect())
    }
}

impl Serialize for TextList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TextList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = TextList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextList, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(TextList(texts))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextList, A::Error> {
                Ok(TextList(vec![Text::protected(map)?]))
            }
        }

        deserializer.deserialize_any(ListVisitor)
    }
}

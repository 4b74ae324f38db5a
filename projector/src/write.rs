//! How rows travel to PostgreSQL: one array a column, one statement a table. Where a row travels as
//! JSON, its JSON columns stand in it as they are.

use events::payload::value::TextList;
use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

use crate::fold::Flags;

/// One column of the rows.
pub fn column<'a, Row, Value>(rows: &'a [Row], value: impl Fn(&'a Row) -> Value) -> Vec<Value> {
    rows.iter().map(value).collect()
}

/// The texts of a list.
pub fn texts(list: &TextList) -> Vec<String> {
    list.as_slice().iter().map(|text| text.as_str().to_owned()).collect()
}

/// Texts as a statement takes them apart again: UNNEST would flatten arrays of arrays.
pub fn json_array(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// Flags as the statements take them apart again.
pub fn joined(flags: &Flags) -> String {
    flags.iter().copied().collect::<Vec<_>>().join(",")
}

/// A column that is JSON already.
pub fn json<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(text).map_err(S::Error::custom)?.serialize(serializer)
}

/// [`json`] for a column that may be null.
pub fn optional_json<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => json(text, serializer),
        None => serializer.serialize_none(),
    }
}

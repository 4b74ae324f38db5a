//! Headers as JSON, whatever their bytes: an object of names and values as long as that holds them
//! all, with `{"b64":…}` for a value that is not UTF-8.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// One JSON object: name to value, or to an array of values where a name was given several times.
/// A name that is not UTF-8 stands as `b64:…`.
pub(super) fn to_json(headers: &[(Bytes, Bytes)]) -> String {
    let mut object = Map::new();
    for (name, value) in headers {
        let name = match storable(name) {
            Some(name) => name.to_owned(),
            None => format!("b64:{}", BASE64_STANDARD.encode(name)),
        };
        let value = match storable(value) {
            Some(value) => json!(value),
            None => json!({ "b64": BASE64_STANDARD.encode(value) }),
        };
        match object.get_mut(&name) {
            None => {
                object.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(object).to_string()
}

/// Text that PostgreSQL's JSON can hold.
fn storable(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// The headers that [`to_json`] wrote.
pub(super) fn from_json(json: &str) -> Vec<(Bytes, Bytes)> {
    let object: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let mut headers = Vec::new();
    for (name, value) in object {
        let name = match name.strip_prefix("b64:").and_then(|name| BASE64_STANDARD.decode(name).ok()) {
            Some(name) => name.into(),
            None => Bytes::from(name),
        };
        match value {
            Value::Array(values) => headers.extend(values.iter().map(|value| (name.clone(), bytes(value)))),
            value => headers.push((name, bytes(&value))),
        }
    }
    headers
}

fn bytes(value: &Value) -> Bytes {
    match value {
        Value::String(text) => Bytes::copy_from_slice(text.as_bytes()),
        other => {
            let encoded = other["b64"].as_str().unwrap_or_default();
            BASE64_STANDARD.decode(encoded).unwrap_or_default().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_of_any_bytes_come_back(mut headers in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..8), prop::collection::vec(any::<u8>(), 0..8)), 0..6)) {
            let given: Vec<(Bytes, Bytes)> = headers.drain(..).map(|(name, value)| (name.into(), value.into())).collect();
            let mut back = from_json(&to_json(&given));
            let mut given = given;
            back.sort();
            given.sort();
            prop_assert_eq!(back, given);
        }
    }
}

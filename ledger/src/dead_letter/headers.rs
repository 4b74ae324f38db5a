//! Headers as JSON, whatever their bytes: an object of names and values as long as that holds them
//! all, with `{"b64":…}` for a value that is not UTF-8.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use crate::stream::Headers;

/// One JSON object: name to value, or to an array of values where a name was given several times.
/// A name that is not UTF-8 stands as `b64:…`.
pub(super) fn to_json(headers: &Headers) -> String {
    let mut object = Map::new();
    for (name, value) in headers.iter() {
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
pub(super) fn from_json(json: &str) -> Headers {
    let object: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let mut headers = Headers::with_capacity(object.len());
    for (name, value) in object {
        let name = match name.strip_prefix("b64:").and_then(|name| BASE64_STANDARD.decode(name).ok()) {
            Some(name) => name,
            None => name.into_bytes(),
        };
        match value {
            Value::Array(values) => values.iter().for_each(|value| headers.push(&name, &bytes(value))),
            value => headers.push(&name, &bytes(&value)),
        }
    }
    headers
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        other => BASE64_STANDARD.decode(other["b64"].as_str().unwrap_or_default()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_of_any_bytes_come_back(mut given in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..8), prop::collection::vec(any::<u8>(), 0..8)), 0..6)) {
            let headers: Headers = given.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            let back = from_json(&to_json(&headers));
            let mut back: Vec<_> = back.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            back.sort();
            given.sort();
            prop_assert_eq!(back, given);
        }
    }
}

//! JSON objects as text, whose values keep the text that they were sent as.

use events::payload::value::Object;

/// The object as JSON.
pub fn to_json(object: &Object) -> String {
    of_members(object.iter().map(|(key, value)| (key, value.as_str())))
}

/// The JSON object of these members, whose values are JSON already.
pub fn of_members<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut json = String::from("{");
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(&serde_json::Value::from(key).to_string());
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}

//! Structured mode: the whole event is one JSON object.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytestring::ByteString;

use super::{
    Message,
    attributes::{self, Attributes},
    binary, faulty, secret,
};
use crate::{
    envelope::Event,
    json,
    refusal::{Code, Refusal},
};

pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn read(payload: &ByteString) -> Result<(Attributes<'_>, ByteString), Refusal> {
    let members = json::members(payload).map_err(|fault| faulty("the event", &fault))?;
    let mut attributes = Attributes::with_capacity(members.len());
    let mut data = None;
    let mut encoded = None;
    for member in members {
        match &*member.name {
            "data" => data = Some(payload.slice_ref(member.value)),
            "data_base64" => encoded = Some(member.value),
            _ => {
                if let Some(value) = attribute(&member.name, member.value)? {
                    attributes.add(member.name, value)?;
                }
            }
        }
    }
    let encoded = encoded.filter(|value| *value != "null");
    let data = match (data, encoded) {
        (Some(data), None) => data,
        (None, Some(encoded)) => decode(encoded)?,
        (Some(_), Some(_)) => return Err(invalid("there are both data and data_base64; send one")),
        (None, None) => return Err(invalid("data is missing; every event has it")),
    };
    Ok((attributes, data))
}

/// The canonical string of an attribute; none if it is `null`, which means absent.
fn attribute<'a>(name: &str, value: &'a str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let is_literal = !attributes::is_text(name);
    match value {
        "null" => Ok(None),
        _ if value.starts_with('"') => string(value).map(Some),
        "true" | "false" if is_literal => Ok(Some(value.into())),
        "-0" if is_literal => Ok(Some("0".into())),
        _ if is_literal && value.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) => Ok(Some(value.into())),
        _ if is_literal => Err(invalid(&format!("{name} is neither text, a boolean nor an integer; send one of them"))),
        _ => Err(invalid(&format!("{name} is not text; send text"))),
    }
}

/// The text of a JSON string that passed the scanner.
fn string(literal: &str) -> Result<Cow<'_, str>, Refusal> {
    match literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => Ok(text.into()),
        _ => serde_json::from_str(literal).map(Cow::Owned).map_err(|error| Refusal::of_serde(&error)),
    }
}

fn decode(literal: &str) -> Result<ByteString, Refusal> {
    if !literal.starts_with('"') {
        return Err(invalid("data_base64 is not text; send base64"));
    }
    let bytes = BASE64
        .decode(string(literal)?.as_bytes())
        .map_err(|error| invalid(&format!("data_base64 is no base64: {error}; send base64")))?;
    json::check(&bytes).map_err(|fault| faulty("data_base64, decoded,", &fault))?;
    ByteString::try_from(bytes).map_err(|_| super::not_utf8("data_base64, decoded,"))
}

fn invalid(reason: &str) -> Refusal {
    Refusal::new(Code::InvalidEvent, reason)
}

/// What can be kept of a message whose data cannot: in structured mode the attributes, unless they hold a
/// secret too; in binary mode, where they are headers, nothing.
pub fn without_data(message: &Message<'_>) -> Vec<u8> {
    let text = std::str::from_utf8(&message.payload).unwrap_or_default();
    let members = if binary::is_binary(message) { Vec::new() } else { json::members(text).unwrap_or_default() };
    let attributes = members.iter().filter(|member| !matches!(&*member.name, "data" | "data_base64"));
    let members: Vec<_> = attributes.map(|member| format!("{}:{}", quoted(&member.name), member.value)).collect();
    let kept = if members.is_empty() { String::new() } else { format!("{{{}}}", members.join(",")) };
    if secret::find(kept.as_bytes()).is_none() { kept.into_bytes() } else { Vec::new() }
}

/// The event in structured mode, on one line.
pub fn to_structured(event: &Event) -> String {
    write(attributes::of_event(event), &event.data)
}

/// Attributes and data as one JSON object, on one line.
pub(super) fn write<'a>(attributes: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>, data: &str) -> String {
    let mut json = String::with_capacity(data.len() + 768);
    json.push('{');
    for (name, value) in attributes {
        json.push_str(&format!("{}:{},", quoted(&name), quoted(&value)));
    }
    // White space around data or line ends within it would not survive, and its bytes must.
    if data.trim() == data && !data.contains(['\n', '\r']) {
        json.push_str("\"data\":");
        json.push_str(data);
    } else {
        json.push_str(&format!("\"data_base64\":\"{}\"", BASE64.encode(data.as_bytes())));
    }
    json.push('}');
    json
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

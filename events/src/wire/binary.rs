//! Binary mode: attributes in `ce-…` headers, percent-encoded; the payload is `data`.

use std::borrow::Cow;

use bytestring::ByteString;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::{Message, attributes::Attributes, faulty, not_utf8};
use crate::{
    envelope::Event,
    json,
    refusal::{Code, Refusal},
};

const PREFIX: &str = "ce-";
const CONTENT_TYPE: &str = "content-type";
/// What CloudEvents has percent-encoded in headers, beside all that is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// A message is in binary mode exactly when one of its headers says so.
pub(super) fn is_binary(message: &Message<'_>) -> bool {
    message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"ce-specversion"))
}

pub(super) fn read<'a>(
    headers: &[(&'a str, &'a str)],
    payload: ByteString,
) -> Result<(Attributes<'a>, ByteString), Refusal> {
    json::check_text(&payload).map_err(|fault| faulty("the payload", &fault))?;
    let mut attributes = Attributes::with_capacity(headers.len());
    for (header, value) in headers {
        if header.eq_ignore_ascii_case(CONTENT_TYPE) {
            check_content_type(value)?;
        } else if let Some(name) = attribute_name(header) {
            attributes.add(name, decoded(header, value)?)?;
        }
    }
    Ok((attributes, payload))
}

fn attribute_name(header: &str) -> Option<Cow<'_, str>> {
    let (prefix, name) = header.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if is_lower { name.into() } else { name.to_ascii_lowercase().into() })
}

fn decoded<'a>(header: &str, value: &'a str) -> Result<Cow<'a, str>, Refusal> {
    if !value.contains('%') {
        return Ok(value.into());
    }
    percent_decode_str(value).decode_utf8().map_err(|_| not_utf8(&format!("the header {header}, percent-decoded,")))
}

fn check_content_type(value: &str) -> Result<(), Refusal> {
    if super::attributes::is_json(value) {
        return Ok(());
    }
    let reason = format!("the header {CONTENT_TYPE} is {value:?}; send application/json");
    Err(Refusal::new(Code::InvalidEvent, reason))
}

/// The headers of the event's message in binary mode; its payload is [`Event::data`].
pub fn to_headers(event: &Event) -> Vec<(String, String)> {
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Nats-Msg-Id".to_owned(), format!("{}:{}", event.org_id, event.event_id)),
    ];
    headers.extend(super::attributes::of_event(event).into_iter().map(|(name, value)| header(&name, &value)));
    headers
}

/// An attribute as a header.
pub(super) fn header(name: &str, value: &str) -> (String, String) {
    (format!("{PREFIX}{name}"), utf8_percent_encode(value, ENCODED).to_string())
}

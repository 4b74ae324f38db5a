//! Attributes: missing, wrong, given twice, reserved, unknown; in headers and in the JSON envelope.

use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use super::cases::{Cases, Structured};
use crate::harness::{Sent, dead_letter_code};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// A name, the attribute, its value (none: left out), the code, and what the reason must name.
type Spoiled = (&'static str, &'static str, Option<Value>, &'static str, &'static str);

/// What is refused alike in binary and in structured mode.
fn spoiled() -> Vec<Spoiled> {
    let text = |text: &str| Some(json!(text));
    vec![
        ("no id", "id", None, "invalid_event", "id"),
        ("no source", "source", None, "invalid_event", "source"),
        ("no type", "type", None, "invalid_event", "type"),
        ("no subject", "subject", None, "invalid_event", "subject"),
        ("no orgid", "orgid", None, "invalid_event", "orgid"),
        ("no time", "time", None, "invalid_time", "time"),
        ("another specversion", "specversion", text("0.3"), "invalid_event", "specversion"),
        ("an empty specversion", "specversion", text(""), "invalid_event", "specversion"),
        ("an empty source", "source", text(""), "invalid_event", "source"),
        ("a source of 1,025 bytes", "source", Some(json!("x".repeat(1025))), "invalid_event", "source"),
        ("a nil id", "id", text(NIL), "invalid_id", "id"),
        ("an id that is too short", "id", text("8f1c2d3e"), "invalid_id", "id"),
        ("an id with a letter beyond f", "id", text("8f1c2d3e-0000-4000-8000-00000000000g"), "invalid_id", "id"),
        ("an id without hyphens", "id", text("8f1c2d3e000040008000000000000001"), "invalid_id", "id"),
        ("an id in braces", "id", text("{8f1c2d3e-0000-4000-8000-000000000001}"), "invalid_id", "id"),
        ("an id as a URN", "id", text("urn:uuid:8f1c2d3e-0000-4000-8000-000000000001"), "invalid_id", "id"),
        ("an empty id", "id", text(""), "invalid_id", "id"),
        ("a nil subject", "subject", text(NIL), "invalid_id", "subject"),
        ("a subject that is no UUID", "subject", text("run-7"), "invalid_id", "subject"),
        ("an orgid that is no UUID", "orgid", text("acme"), "invalid_id", "orgid"),
        ("a nil orgid", "orgid", text(NIL), "invalid_id", "orgid"),
        ("another content type", "datacontenttype", text("text/plain"), "invalid_event", "datacontenttype"),
        ("a dataschema of another kind", "dataschema", text("https://example.org/s"), "invalid_event", "dataschema"),
        (
            "a dataschema of another type",
            "dataschema",
            text("urn:runledger:run.started:1"),
            "invalid_event",
            "dataschema",
        ),
        ("version 0", "dataschema", text("urn:runledger:custom.probed:0"), "invalid_event", "dataschema"),
        ("version -1", "dataschema", text("urn:runledger:custom.probed:-1"), "invalid_event", "dataschema"),
        ("version 01", "dataschema", text("urn:runledger:custom.probed:01"), "invalid_event", "dataschema"),
        (
            "a version beyond its column",
            "dataschema",
            text("urn:runledger:custom.probed:99999"),
            "unknown_version",
            "99999",
        ),
        ("a sequence that is not ten digits", "sequence", text("7"), "invalid_event", "sequence"),
        ("sequence 0", "sequence", text("0000000000"), "invalid_event", "sequence"),
        ("the ledger's own seq", "ledgerseq", text("1"), "invalid_event", "ledgerseq"),
        ("the ledger's own time", "recordedtime", text("2026-01-05T10:00:00Z"), "invalid_event", "recordedtime"),
        ("the ledger's own root", "ledgerroot", text(&"0".repeat(64)), "invalid_event", "ledgerroot"),
    ]
}

#[tokio::test]
async fn spoiled_attributes_are_refused_in_both_modes() {
    let mut cases = Cases::start().await;
    for (name, attribute, value, code, reason_has) in spoiled() {
        let header = format!("ce-{attribute}");
        let binary = match &value {
            Some(value) => cases.valid().with(&header, value.as_str().unwrap()),
            None => cases.valid().without(&header),
        };
        cases.refused_saying(&format!("binary: {name}"), binary, code, reason_has).await;
        let members = json!({ attribute: value });
        let structured = Structured::with_members(cases.org_id, "custom.probed", Uuid::new_v4(), members, "{}");
        cases.refused_saying(&format!("structured: {name}"), structured.sent, code, reason_has).await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn headers_that_only_binary_mode_has_are_held_to_its_rules() {
    let mut cases = Cases::start().await;
    let org_id = cases.org_id;
    let valid = || Sent::valid(org_id, "custom.probed", Uuid::new_v4(), json!({}));
    let twice = {
        let mut sent = valid();
        sent.headers.push(("CE-Source".to_owned(), "/another".to_owned()));
        sent
    };
    let list = [
        ("an attribute twice, in letters of two cases", twice, "duplicate_key"),
        ("a space in the source, percent-encoded", valid().with("ce-source", "/a%20b"), "invalid_event"),
        ("a line break in the source, percent-encoded", valid().with("ce-source", "/a%0D%0Ab"), "invalid_event"),
        ("a NUL, percent-encoded", valid().with("ce-authid", "a%00b"), "unstorable_text"),
        ("bytes that are not UTF-8, percent-encoded", valid().with("ce-authid", "%FF%FE"), "invalid_utf8"),
        ("data as a header", valid().with("ce-data", "{}"), "invalid_event"),
        ("an attribute without a name", valid().with("ce-", "x"), "invalid_event"),
        ("an attribute with a sign in its name", valid().with("ce-a$b", "x"), "invalid_event"),
        ("another content type", valid().with("Content-Type", "application/xml"), "invalid_event"),
        ("no specversion, so that it is taken for structured mode", valid().without("ce-specversion"), "invalid_event"),
    ];
    for (name, sent, code) in list {
        cases.refused(name, sent, code).await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn envelopes_that_are_none_are_refused_in_structured_mode() {
    let mut cases = Cases::start().await;
    let org_id = cases.org_id;
    let with = |members: Value| Structured::with_members(org_id, "custom.probed", Uuid::new_v4(), members, "{}").sent;
    let without_data = |more: &str| {
        let mut sent = with(json!({}));
        let envelope = String::from_utf8(sent.payload).unwrap();
        sent.payload = envelope.replace(",\"data\":{}", more).into_bytes();
        sent
    };
    let bare = |payload: &str| with(json!({})).carrying(payload);
    let list = [
        ("an array", bare("[]"), "invalid_event"),
        ("text", bare("\"event\""), "invalid_event"),
        ("null", bare("null"), "invalid_event"),
        ("an empty object", bare("{}"), "invalid_event"),
        ("an empty body", bare(""), "malformed_json"),
        ("a batch of events", bare("[{\"specversion\":\"1.0\"}]"), "invalid_event"),
        ("an id that is a number", with(json!({ "id": 7 })), "invalid_event"),
        ("a time that is a number", with(json!({ "time": 1767607200 })), "invalid_event"),
        ("a subject that is an object", with(json!({ "subject": {} })), "invalid_event"),
        ("an extension that is a fraction", with(json!({ "authlevel": 1.5 })), "invalid_event"),
        ("an extension that is an object", with(json!({ "authid": {} })), "invalid_event"),
        ("an extension that is an array", with(json!({ "authid": [1] })), "invalid_event"),
        ("an attribute name in upper case", with(json!({ "AuthId": "x" })), "invalid_event"),
        ("an empty attribute name", with(json!({ "": "x" })), "invalid_event"),
        ("an extension with a NUL", with(json!({ "authid": "a\0b" })), "unstorable_text"),
        ("no data", without_data(""), "invalid_event"),
        ("data_base64 that is null, and no data", without_data(",\"data_base64\":null"), "invalid_event"),
        ("data and data_base64", with(json!({ "data_base64": "e30=" })), "invalid_event"),
        ("data_base64 that is none", without_data(",\"data_base64\":\"%%%\""), "invalid_event"),
        ("data_base64 that is a number", without_data(",\"data_base64\":5"), "invalid_event"),
        ("data_base64 of bytes that are not UTF-8", without_data(",\"data_base64\":\"Iv8i\""), "invalid_utf8"),
        ("data_base64 of malformed JSON", without_data(",\"data_base64\":\"ew==\""), "malformed_json"),
        ("data_base64 of a repeated key", without_data(",\"data_base64\":\"eyJhIjoxLCJhIjoyfQ==\""), "duplicate_key"),
        ("an attribute twice", without_data(",\"source\":\"/b\",\"data\":{}"), "duplicate_key"),
        ("data twice", without_data(",\"data\":{},\"data\":{}"), "duplicate_key"),
    ];
    for (name, sent, code) in list {
        cases.refused(name, sent, code).await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn unknown_attributes_are_kept_as_canonical_text_with_sorted_keys() {
    let mut cases = Cases::start().await;
    let org_id = cases.org_id;
    let binary = cases
        .valid()
        .with("CE-Zone", "b%20%C3%A9")
        .with("ce-authid", "42")
        .with("ce-a-b_c.d", "x")
        .with("ce-correlationid", "c-1")
        .with("X-Unknown", "not an attribute")
        .with("ce-sequence", "0000000007");
    let binary_id: Uuid = binary.header("ce-id").parse().unwrap();
    cases.appended("binary: unknown attributes", binary).await;
    let members = json!({
        "zone": "é\u{1b}[31m", "authid": 42, "live": true, "dead": false, "debt": -7, "nothing": null,
        "sequence": "0000000007", "causationid": "c-2",
    });
    let structured = Structured::with_members(org_id, "custom.probed", Uuid::new_v4(), members, "{}");
    let structured_id = structured.event_id;
    cases.appended_structured("structured: unknown attributes", structured).await;
    let mixed = Structured::carrying(org_id, "custom.probed", Uuid::new_v4(), "{}");
    let (event_id, data) = (mixed.event_id, mixed.data.clone());
    let sent = mixed.sent.with("ce-id", "ignored").with("Content-Type", "text/plain");
    cases
        .appended_structured(
            "structured: headers of binary mode without specversion",
            Structured { event_id, data, sent },
        )
        .await;
    cases.all_hold().await;

    let extensions = async |event_id: Uuid| -> (String, Option<String>, Option<String>) {
        sqlx::query_as("SELECT extensions::text, correlation_id, causation_id FROM ledger.event WHERE event_id = $1")
            .bind(event_id)
            .fetch_one(cases.stack.pool())
            .await
            .unwrap()
    };
    let (kept, correlation_id, _) = extensions(binary_id).await;
    assert_eq!(kept, r#"{"a-b_c.d":"x","authid":"42","sequence":"0000000007","zone":"b é"}"#);
    assert_eq!(correlation_id.as_deref(), Some("c-1"));
    let (kept, _, causation_id) = extensions(structured_id).await;
    let expected = "{\"authid\":\"42\",\"dead\":\"false\",\"debt\":\"-7\",\"live\":\"true\",\"sequence\":\"0000000007\",\"zone\":\"é\\u001b[31m\"}";
    assert_eq!(kept, expected);
    assert_eq!(causation_id.as_deref(), Some("c-2"));
}

#[tokio::test]
async fn data_base64_is_stored_decoded() {
    let mut cases = Cases::start().await;
    let mut event = Structured::carrying(cases.org_id, "custom.probed", Uuid::new_v4(), "{}");
    let envelope = String::from_utf8(event.sent.payload).unwrap();
    // " {\n}" with white space around it, which plain data would lose.
    event.sent.payload = envelope.replace("\"data\":{}", "\"data_base64\":\"IHsKfQ==\"").into_bytes();
    event.data = b" {\n}".to_vec();
    cases.appended_structured("data_base64", event).await;
    cases.all_hold().await;
}

#[tokio::test]
async fn a_letter_keeps_a_header_that_was_given_twice() {
    let cases = Cases::start().await;
    let mut sent = cases.valid().with("ce-type", "custom.other");
    sent.headers.push(("X-Twice".to_owned(), "one".to_owned()));
    sent.headers.push(("X-Twice".to_owned(), "two".to_owned()));
    let stream_seq = sent.publish(&cases.stack).await;
    assert_eq!(dead_letter_code(&cases.stack, stream_seq).await, "type_mismatch");
    let Json(headers): Json<Value> = sqlx::query_scalar("SELECT headers FROM ledger.dead_letter WHERE stream_seq = $1")
        .bind(stream_seq as i64)
        .fetch_one(cases.stack.pool())
        .await
        .unwrap();
    assert_eq!(headers["X-Twice"], json!(["one", "two"]));
}

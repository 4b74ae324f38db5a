//! Payloads: JSON that is none, or that PostgreSQL would choke on later, or that an attacker made.

use serde_json::{Value, json};
use uuid::Uuid;

use super::cases::{Cases, Structured};
use crate::harness::Sent;

fn nested(depth: usize) -> Vec<u8> {
    ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes()
}

fn nested_objects(depth: usize) -> Vec<u8> {
    [r#"{"a":"#.repeat(depth), "1".to_owned(), "}".repeat(depth)].concat().into_bytes()
}

fn keys(count: usize) -> Vec<u8> {
    let members: Vec<String> = (0..count).map(|key| format!("\"k{key}\":0")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// More keys than are compared one by one, then one of the first again.
fn with_repeated_key() -> Vec<u8> {
    let mut data = keys(100);
    data.pop();
    data.extend_from_slice(b",\"k3\":1}");
    data
}

/// Data that is refused, alike in binary and in structured mode.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("a truncated object", text(r#"{"a":1"#), "malformed_json"),
        ("a truncated string", text(r#""abc"#), "malformed_json"),
        ("a truncated literal", text("tru"), "malformed_json"),
        ("nothing", text(""), "malformed_json"),
        ("white space only", text(" \n\t "), "malformed_json"),
        ("trailing letters", text("{} x"), "malformed_json"),
        ("a second document", text("{}{}"), "malformed_json"),
        ("a byte-order mark", text("\u{feff}{}"), "malformed_json"),
        ("single quotes", text("{'a':1}"), "malformed_json"),
        ("a trailing comma", text(r#"{"a":1,}"#), "malformed_json"),
        ("a missing colon", text(r#"{"a" 1}"#), "malformed_json"),
        ("a missing comma", text("[1 2]"), "malformed_json"),
        ("a comment", text("{}/* */"), "malformed_json"),
        ("NaN", text("NaN"), "malformed_json"),
        ("Infinity", text("-Infinity"), "malformed_json"),
        ("a leading zero", text("01"), "malformed_json"),
        ("a plus sign", text("+1"), "malformed_json"),
        ("no digit behind the point", text("1."), "malformed_json"),
        ("no digit before the point", text(".5"), "malformed_json"),
        ("no digit in the exponent", text("1e"), "malformed_json"),
        ("a hexadecimal number", text("0x10"), "malformed_json"),
        ("a bare control character", text("\"a\tb\""), "malformed_json"),
        ("an unknown escape", text(r#""\x41""#), "malformed_json"),
        ("half a unicode escape", text(r#""\u00e""#), "malformed_json"),
        ("another white space", text("\u{a0}{}"), "malformed_json"),
        ("a stray byte 0xFF", b"{\"a\":\"\xFF\"}".to_vec(), "invalid_utf8"),
        ("a truncated character", b"\"\xE2\x82\"".to_vec(), "invalid_utf8"),
        ("an overlong slash", b"\"\xC0\xAF\"".to_vec(), "invalid_utf8"),
        ("a surrogate in UTF-8", b"\"\xED\xA0\x80\"".to_vec(), "invalid_utf8"),
        ("a code point beyond Unicode", b"\"\xF4\x90\x80\x80\"".to_vec(), "invalid_utf8"),
        ("UTF-16", b"{\0}\0\xFF\xFE".to_vec(), "invalid_utf8"),
        ("an escaped NUL", text(r#"{"a":"b\u0000c"}"#), "unstorable_text"),
        ("an escaped NUL in a key", text(r#"{"\u0000":1}"#), "unstorable_text"),
        ("a lone high surrogate", text(r#""\ud800""#), "unstorable_text"),
        ("a lone low surrogate", text(r#""\uDC00""#), "unstorable_text"),
        ("a high surrogate before a letter", text(r#""\ud800\u0041""#), "unstorable_text"),
        ("two high surrogates", text(r#"["\ud83d\ud83d"]"#), "unstorable_text"),
        ("a repeated key", text(r#"{"a":1,"a":1}"#), "duplicate_key"),
        ("a repeated key deep inside", text(r#"[{"x":{"a":1,"b":2,"a":3}}]"#), "duplicate_key"),
        ("a key repeated by an escape", text(r#"{"a":1,"\u0061":2}"#), "duplicate_key"),
        ("a repeated empty key", text(r#"{"":1,"":2}"#), "duplicate_key"),
        ("a key repeated behind many", with_repeated_key(), "duplicate_key"),
        ("65 arrays in each other", nested(65), "too_complex"),
        ("65 objects in each other", nested_objects(65), "too_complex"),
        ("100,000 arrays in each other", nested(100_000), "too_complex"),
        ("10,001 keys", keys(10_001), "too_complex"),
        ("an integer beyond 64 bits", text("18446744073709551616"), "number_out_of_range"),
        ("an integer below 64 bits", text("-9223372036854775809"), "number_out_of_range"),
        ("an integer of 100 digits", text(&"9".repeat(100)), "number_out_of_range"),
        ("an infinite float", text("1e400"), "number_out_of_range"),
        ("an infinite negative float", text("[-1e400]"), "number_out_of_range"),
        ("more than numeric holds", text("1e131071"), "number_out_of_range"),
        ("a float that is zero and should not be", text("1e-400"), "number_out_of_range"),
        ("more decimals than numeric holds", text("1e-20000"), "number_out_of_range"),
        ("an exponent beyond 64 bits", text("1e99999999999999999999"), "number_out_of_range"),
        ("a long fraction that is zero", text(&format!("0.{}1", "0".repeat(400))), "number_out_of_range"),
    ]
}

#[tokio::test]
async fn data_that_cannot_be_stored_is_refused_in_both_modes() {
    let mut cases = Cases::start().await;
    for (name, data, code) in refused() {
        let binary = cases.valid().carrying(data.clone());
        cases.refused(&format!("binary: {name}"), binary, code).await;
        let structured = Structured::carrying(cases.org_id, "custom.probed", Uuid::new_v4(), data);
        cases.refused(&format!("structured: {name}"), structured.sent, code).await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn odd_data_is_kept_byte_for_byte_in_both_modes() {
    let mut cases = Cases::start().await;
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("minus zero", b"-0".to_vec()),
        ("an exponent", b"1e2".to_vec()),
        ("a capital exponent with a sign", b"[1E+2,1e-05]".to_vec()),
        ("odd white space", b"{\t\"b\" :\r\n 1 ,\n\"a\":[ ] }".to_vec()),
        ("odd key order", br#"{"z":1,"a":2,"M":3}"#.to_vec()),
        ("trailing zeros", b"100.00".to_vec()),
        ("more digits than a float has", b"0.1000000000000000055511151231257827021181583404541015625".to_vec()),
        ("the greatest integer", b"18446744073709551615".to_vec()),
        ("the least integer", b"-9223372036854775808".to_vec()),
        ("the greatest float", b"1.7976931348623157e308".to_vec()),
        ("the least float", b"5e-324".to_vec()),
        ("escapes that need not be", br#""\u0041\/\u00e9\ud83d\ude00""#.to_vec()),
        ("text beyond ASCII", "{\"患者\":\"Zoë 😀 \u{7f}\u{80}\u{2028}\"}".as_bytes().to_vec()),
        ("an escaped escape character", br#""\u001b[31m""#.to_vec()),
        ("null", b"null".to_vec()),
        ("an empty string", br#""""#.to_vec()),
        ("an empty key", br#"{"":{"":1}}"#.to_vec()),
        ("the same key in two objects", br#"[{"a":1},{"a":2}]"#.to_vec()),
        ("SQL", br#""'; DROP TABLE ledger.event; --""#.to_vec()),
        ("HTML", br#""<script>alert(1)</script>""#.to_vec()),
        ("a spreadsheet formula", br#"["=HYPERLINK(\"http://x\")","+1","-1","@SUM(A1)"]"#.to_vec()),
        ("marks that turn the direction of text", "\"\u{202e}abc\u{2066}\"".as_bytes().to_vec()),
        ("64 arrays in each other", nested(64)),
        ("64 objects in each other", nested_objects(64)),
        ("10,000 keys", keys(10_000)),
    ];
    for (name, data) in odd {
        let binary = cases.valid().carrying(data.clone());
        cases.appended(&format!("binary: {name}"), binary).await;
        let structured = Structured::carrying(cases.org_id, "custom.probed", Uuid::new_v4(), data);
        cases.appended_structured(&format!("structured: {name}"), structured).await;
    }
    // In structured mode white space around the data belongs to the envelope.
    let around = cases.valid().carrying(" \r\n{ }\t ");
    cases.appended("binary: white space around the data", around).await;
    cases.all_hold().await;
}

#[tokio::test]
async fn a_payload_that_its_type_does_not_allow_is_refused_naming_the_path() {
    let mut cases = Cases::start().await;
    let id = Uuid::new_v4();
    let list: Vec<(&str, &str, Value, &str, &str)> = vec![
        ("data is an array", "run.started", json!([]), "invalid_event", "data"),
        ("data is text", "run.started", json!("{}"), "invalid_event", "data"),
        ("data is null", "run.completed", json!(null), "invalid_event", "data"),
        ("no error message", "run.failed", json!({}), "invalid_event", "data.error_message"),
        (
            "an error message that is a number",
            "run.failed",
            json!({ "error_message": 5 }),
            "invalid_event",
            "data.error_message",
        ),
        (
            "an error message that is null",
            "run.timed_out",
            json!({ "error_message": null }),
            "invalid_event",
            "data.error_message",
        ),
        (
            "an embedding of too few dimensions",
            "micro_state.observed",
            json!({ "url": "/", "title": "", "ui": {}, "text_embedding": vec![0.5; 767] }),
            "invalid_embedding",
            "data.text_embedding",
        ),
        (
            "an embedding of zeros",
            "micro_state.observed",
            json!({ "url": "/", "title": "", "ui": {}, "image_embedding": vec![0; 512] }),
            "invalid_embedding",
            "data.image_embedding",
        ),
        (
            "an embedding beyond 32-bit floats",
            "micro_state.observed",
            json!({ "url": "/", "title": "", "ui": {}, "text_embedding": vec![1e39; 768] }),
            "invalid_embedding",
            "data.text_embedding",
        ),
        ("a kind of screen without a name", "macro_state.defined", json!({}), "invalid_event", "data.name"),
        (
            "a kind of screen with an empty name",
            "macro_state.defined",
            json!({ "name": "" }),
            "invalid_event",
            "data.name",
        ),
        (
            "a kind of screen with a label that is a list",
            "macro_state.defined",
            json!({ "name": "n", "label": ["sign_in"] }),
            "invalid_event",
            "data.label",
        ),
        (
            "a kind of screen with a label of 513 bytes",
            "macro_state.defined",
            json!({ "name": "n", "label": "x".repeat(513) }),
            "invalid_event",
            "data.label",
        ),
        (
            "a kind of screen of no screen",
            "macro_state.defined",
            json!({ "name": "n", "micro_state_ids": [id, Uuid::nil()] }),
            "invalid_id",
            "data.micro_state_ids[1]",
        ),
        (
            "a kind of 1,001 screens",
            "macro_state.defined",
            json!({ "name": "n", "micro_state_ids": vec![id; 1_001] }),
            "invalid_event",
            "data.micro_state_ids: it names 1001 micro-states",
        ),
        (
            "a kind of screen defined by nobody",
            "macro_state.defined",
            json!({ "name": "n", "defined_by": "" }),
            "invalid_id",
            "data.defined_by",
        ),
        (
            "a transition from nowhere",
            "ui_transition.observed",
            json!({ "action": "a", "to": id }),
            "invalid_event",
            "data.from",
        ),
        (
            "a transition to a number",
            "ui_transition.observed",
            json!({ "from": id, "action": "a", "to": 7 }),
            "invalid_event",
            "data.to",
        ),
        (
            "a transition to the nil UUID",
            "ui_transition.observed",
            json!({ "from": id, "action": "a", "to": Uuid::nil() }),
            "invalid_id",
            "data.to",
        ),
        (
            "a transition by nothing",
            "ui_transition.observed",
            json!({ "from": id, "action": "", "to": id }),
            "invalid_event",
            "data.action",
        ),
        (
            "a transition by an action of 513 bytes",
            "ui_transition.observed",
            json!({ "from": id, "action": "x".repeat(513), "to": id }),
            "invalid_event",
            "data.action",
        ),
        (
            "a transition from another screen than its subject",
            "ui_transition.observed",
            json!({ "from": id, "action": "a", "to": id }),
            "invalid_event",
            "data.from",
        ),
        ("no step id", "step.started", json!({}), "invalid_event", "data.step_id"),
        ("a step id that is a number", "step.started", json!({ "step_id": 7 }), "invalid_event", "data.step_id"),
        ("a step id that is no UUID", "step.started", json!({ "step_id": "seven" }), "invalid_id", "data.step_id"),
        ("a nil step id", "step.started", json!({ "step_id": Uuid::nil() }), "invalid_id", "data.step_id"),
        (
            "a workflow id without hyphens",
            "run.created",
            json!({ "workflow_id": id.simple().to_string() }),
            "invalid_id",
            "data.workflow_id",
        ),
        ("a context that is an array", "run.context_added", json!({ "context": [] }), "invalid_event", "data.context"),
        ("no context", "run.context_added", json!({}), "invalid_event", "data.context"),
        (
            "an endpoint without its id",
            "run.endpoint_used",
            json!({ "endpoint": {} }),
            "invalid_event",
            "data.endpoint",
        ),
        (
            "a screenshot without its uri",
            "step.screenshot_captured",
            json!({ "step_id": id, "screenshot": {} }),
            "invalid_event",
            "data.screenshot",
        ),
        (
            "a screenshot with an empty uri",
            "step.screenshot_captured",
            json!({ "step_id": id, "screenshot": { "uri": "" } }),
            "invalid_event",
            "data.screenshot",
        ),
        (
            "screenshots of version 2 in an event of version 1",
            "step.screenshot_captured",
            json!({ "step_id": id, "screenshots": [{ "uri": "s3://shots/1" }] }),
            "invalid_event",
            "data.screenshot is missing; version 1",
        ),
        ("a retraction without a reason", "run.retracted", json!({}), "invalid_event", "data.reason"),
        (
            "a retraction by nobody",
            "run.retracted",
            json!({ "reason": "x", "retracted_by": "" }),
            "invalid_id",
            "data.retracted_by",
        ),
        ("a retry without an attempt", "step.retried", json!({ "step_id": id }), "invalid_event", "data.attempt"),
        (
            "a retry as attempt 0",
            "step.retried",
            json!({ "step_id": id, "attempt": 0 }),
            "invalid_event",
            "data.attempt",
        ),
        (
            "a negative attempt",
            "step.failed",
            json!({ "step_id": id, "attempt": -1, "error_message": "x" }),
            "invalid_event",
            "data.attempt",
        ),
        (
            "a revision that is a fraction",
            "run.started",
            json!({ "workflow_revision": 1.5 }),
            "invalid_event",
            "data.workflow_revision",
        ),
        (
            "a revision that is text",
            "run.started",
            json!({ "workflow_revision": "1" }),
            "invalid_event",
            "data.workflow_revision",
        ),
        (
            "a revision beyond its column",
            "run.started",
            json!({ "workflow_revision": 2_147_483_648_i64 }),
            "number_out_of_range",
            "data.workflow_revision",
        ),
        (
            "a step number below its column",
            "step.created",
            json!({ "step_id": id, "step_number": -2_147_483_649_i64 }),
            "number_out_of_range",
            "data.step_number",
        ),
        (
            "an attempt beyond its column",
            "step.started",
            json!({ "step_id": id, "attempt": 3_000_000_000_i64 }),
            "number_out_of_range",
            "data.attempt",
        ),
        (
            "a legacy id beyond its column",
            "run.created",
            json!({ "legacy_trace_id": 9_223_372_036_854_775_808_u64 }),
            "number_out_of_range",
            "data.legacy_trace_id",
        ),
        (
            "an external id of 513 bytes",
            "run.started",
            json!({ "external_id": "x".repeat(513) }),
            "invalid_event",
            "data.external_id",
        ),
        ("a user without an email", "user.registered", json!({ "display_name": "x" }), "invalid_event", "data.email"),
        ("a user with an empty email", "user.registered", json!({ "email": "" }), "invalid_event", "data.email"),
        (
            "roles that are text",
            "user.registered",
            json!({ "email": "a@b", "roles": "admin" }),
            "invalid_event",
            "data.roles",
        ),
        (
            "a role that is a number",
            "user.registered",
            json!({ "email": "a@b", "roles": ["a", 1] }),
            "invalid_event",
            "data.roles",
        ),
    ];
    for (name, event_type, data, code, path) in list {
        let sent = cases.event(event_type, data);
        cases.refused_saying(name, sent, code, path).await;
    }
    let org_id = cases.org_id;
    for (name, event_type, data) in [
        ("an org without a name", "org.registered", json!({})),
        ("an org with an empty name", "org.registered", json!({ "name": "" })),
        ("an org renamed to nothing", "org.updated", json!({ "name": "" })),
    ] {
        let sent = Sent::valid(org_id, event_type, org_id.uuid(), data);
        cases.refused_saying(name, sent, "invalid_event", "data.name").await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn what_a_type_allows_is_appended_however_odd() {
    let mut cases = Cases::start().await;
    let id = Uuid::new_v4();
    let protected = json!({ "$protected": { "v": 1, "alg": "A256GCM", "kid": "subject-1", "ct": "3q2+7w==" } });
    let list: Vec<(&str, &str, String)> = vec![
        ("fields that nobody knows", "run.started", r#"{"mood":"good","nested":{"a":[1,{}]}}"#.to_owned()),
        ("an explicit null of an optional field", "run.started", r#"{"workflow_id":null,"context":null}"#.to_owned()),
        ("an integer as a float", "run.started", r#"{"workflow_revision":1e2,"legacy_trace_id":7.0}"#.to_owned()),
        ("an unknown channel", "run.started", r#"{"channel":"carrier pigeon"}"#.to_owned()),
        ("an external id of 512 bytes", "run.started", json!({ "external_id": "x".repeat(512) }).to_string()),
        ("a protected value for text", "run.failed", json!({ "error_message": protected }).to_string()),
        ("a protected value for an object", "run.context_added", json!({ "context": protected }).to_string()),
        (
            "a protected value for free JSON",
            "step.started",
            json!({ "step_id": id, "input_data": protected }).to_string(),
        ),
        (
            "a protected screenshot",
            "step.screenshot_captured",
            json!({ "step_id": id, "screenshot": protected }).to_string(),
        ),
        ("text of white space", "run.failed", r#"{"error_message":"  "}"#.to_owned()),
        (
            "a kind of 1,000 screens, all the same one",
            "macro_state.defined",
            json!({ "name": "n", "micro_state_ids": vec![id; 1_000] }).to_string(),
        ),
        ("a kind of no screens", "macro_state.defined", r#"{"name":"n","micro_state_ids":[],"label":""}"#.to_owned()),
        (
            "a kind of screen full of what others would run",
            "macro_state.defined",
            json!({ "name": "'); DROP TABLE macro_state; --\u{1b}[31m\u{202e}", "label": protected }).to_string(),
        ),
    ];
    for (name, event_type, data) in list {
        let binary = cases.event(event_type, json!({})).carrying(data.clone());
        cases.appended(&format!("binary: {name}"), binary).await;
        let structured = Structured::carrying(cases.org_id, event_type, Uuid::new_v4(), data);
        cases.appended_structured(&format!("structured: {name}"), structured).await;
    }
    for (name, data) in [
        ("a transition to the same screen", json!({ "from": id, "action": " ", "to": id })),
        (
            "a transition by SQL",
            json!({ "from": id, "action": "'; DROP TABLE rcm_transition; --\u{1b}[31m", "to": id }),
        ),
        ("a transition by something protected", json!({ "from": id, "action": protected, "to": Uuid::new_v4() })),
    ] {
        let sent = Sent::valid(cases.org_id, "ui_transition.observed", id, data);
        cases.appended(name, sent).await;
    }
    cases.all_hold().await;
}

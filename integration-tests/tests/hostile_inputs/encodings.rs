//! Bytes that no client library would send: headers and subjects that are not UTF-8, forged status
//! lines, broken header blocks.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    cases::Cases,
    raw_nats::{RawMessage, RawNats},
};
use crate::harness::{Sent, all_hold, dead_letter_code, eventually, idle_stack, runledger, size, size_reaches, stack};

/// The headers of a valid message and one more, as a dead letter keeps them.
fn kept(sent: &Sent, name: &str, value: Value) -> Value {
    let mut headers: Map<String, Value> =
        sent.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    headers.insert(name.to_owned(), value);
    Value::Object(headers)
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_refused_wherever_they_stand() {
    let mut cases = Cases::start().await;
    let org_id = cases.org_id;
    for (name, line, kept_name, kept_value) in [
        ("an attribute", &b"ce-authid: a\xFFb\r\n"[..], "ce-authid", "Yf9i"),
        ("a header of no concern", b"X-Any: \xC0\xAF\r\n", "X-Any", "wK8="),
        ("a header's name", b"ce-\xFF: \xFF\r\n", "b64:Y2Ut/w==", "/w=="),
    ] {
        let sent = cases.valid();
        let headers = kept(&sent, kept_name, json!({ "b64": kept_value }));
        let (message, subject) = (RawMessage::of(&sent, "", line), sent.subject.clone());
        cases.refused_raw(name, message, "invalid_utf8", &subject, headers).await;
    }
    for (name, subject) in [
        ("the subject's type", [format!("runledger.events.{org_id}.custom.").as_bytes(), b"\xFF\xFE"].concat()),
        ("the subject's org", b"runledger.events.\xFF.custom.probed".to_vec()),
    ] {
        let sent = cases.valid();
        let message = RawMessage::of(&sent, "", b"").to(&subject);
        let lossy = String::from_utf8_lossy(&subject).into_owned();
        let headers = kept(&sent, "ce-specversion", json!("1.0"));
        cases.refused_raw(name, message, "invalid_utf8", &lossy, headers).await;
    }
    // The way round the client also carries what is large.
    let sent = cases.valid().carrying(format!("\"{}\"", "x".repeat(900 * 1024)));
    let headers = kept(&sent, "X-Any", json!({ "b64": "/w==" }));
    let (message, subject) = (RawMessage::of(&sent, "", b"X-Any: \xFF\r\n"), sent.subject.clone());
    cases.refused_raw("900 KiB with a header that is not UTF-8", message, "invalid_utf8", &subject, headers).await;
    cases.all_hold().await;
}

/// Status lines that a server uses to speak to its clients, and some that it never would.
const STATUS_LINES: [&str; 9] = [
    " 503",
    " 100 Idle Heartbeat",
    " 100 FlowControl Request",
    " 404 No Messages",
    " 408 Request Timeout",
    " 409 Consumer Deleted",
    " 409 Exceeded MaxRequestBatch of 1",
    " 999",
    " abc",
];

#[tokio::test]
async fn a_forged_status_line_loses_nothing() {
    let mut cases = Cases::start().await;
    for status in STATUS_LINES {
        let sent = cases.valid();
        let event_id = sent.header("ce-id").parse().unwrap();
        cases.appended_raw(&format!("status line {status:?}"), event_id, RawMessage::of(&sent, status, b"")).await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn a_forged_status_line_is_not_left_lying_until_another_message_comes() {
    let stack = stack().await;
    let mut raw = RawNats::connect(stack.nats_url()).await;
    let mut waiting = Vec::new();
    // An org each, so that nothing comes behind it.
    for status in STATUS_LINES {
        let org_id = stack.register_org(status).await.unwrap();
        size_reaches(&stack, org_id, 1).await;
        let sent = Sent::valid(org_id, "custom.probed", Uuid::new_v4(), json!({}));
        raw.publish(&RawMessage::of(&sent, status, b"")).await.unwrap();
        waiting.push((status, org_id));
    }
    all_hold("forged status lines", async || {
        let mut faults = Vec::new();
        for (status, org_id) in &waiting {
            if size(&stack, *org_id).await < 2 {
                faults.push(format!("{status:?} is not appended"));
            }
        }
        faults
    })
    .await;
}

#[tokio::test]
async fn broken_header_blocks_neither_stop_the_stream_nor_get_lost() {
    let mut cases = Cases::start().await;
    let lines: [(&str, &[u8]); 6] = [
        ("a line without a colon", b"odd\r\n"),
        ("a header without a name", b": x\r\n"),
        ("a space in a name", b"a b: x\r\n"),
        ("a bare line feed in a value", b"X-Any: a\nb: c\r\n"),
        ("a folded line", b"X-Any: a\r\n  b\r\n"),
        ("a NUL in a value", b"X-Any: a\0b\r\n"),
    ];
    for (name, line) in lines {
        let sent = cases.valid();
        let event_id = sent.header("ce-id").parse().unwrap();
        cases.appended_raw(name, event_id, RawMessage::of(&sent, "", line)).await;
    }
    cases.all_hold().await;
}

/// How long a message that the client library chokes on may take.
const STALL_MAX: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_bare_carriage_return_in_a_header_does_not_stop_the_ledger() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("carriage return").await.unwrap();
    // A process of its own: the connection that reads such a header panics within the client library.
    let _ledger = runledger(&stack, ["ledger"]).spawn().unwrap();
    size_reaches(&stack, org_id, 1).await;
    let mut raw = RawNats::connect(stack.nats_url()).await;
    let sent = Sent::valid(org_id, "custom.probed", Uuid::new_v4(), json!({}));
    let stream_seq = raw.publish(&RawMessage::of(&sent, "", b"X-Any: a\rb\r\n")).await.unwrap();
    let behind = Sent::valid(org_id, "custom.behind", Uuid::new_v4(), json!({}));
    raw.publish(&RawMessage::of(&behind, "", b"")).await.unwrap();
    let sent_at = Instant::now();
    eventually("both messages to be dealt with", async || {
        let dealt_with: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM ledger.event WHERE event_id IN ($1, $2))
                  + (SELECT count(*) FROM ledger.dead_letter WHERE stream_seq = $3)",
        )
        .bind(sent.header("ce-id").parse::<Uuid>().unwrap())
        .bind(behind.header("ce-id").parse::<Uuid>().unwrap())
        .bind(stream_seq as i64)
        .fetch_one(stack.pool())
        .await
        .unwrap();
        (dealt_with == 2).then_some(())
    })
    .await;
    assert!(sent_at.elapsed() < STALL_MAX, "it took {:?}", sent_at.elapsed());
}

#[tokio::test]
async fn a_header_that_is_not_utf_8_is_not_left_lying_until_another_message_comes() {
    let stack = stack().await;
    let org_id = stack.register_org("alone").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    let mut raw = RawNats::connect(stack.nats_url()).await;
    let sent = Sent::valid(org_id, "custom.probed", Uuid::new_v4(), json!({}));
    let sent_at = Instant::now();
    let stream_seq = raw.publish(&RawMessage::of(&sent, "", b"X-Any: \xFF\r\n")).await.unwrap();
    assert_eq!(dead_letter_code(&stack, stream_seq).await, "invalid_utf8");
    assert!(sent_at.elapsed() < STALL_MAX, "it took {:?}", sent_at.elapsed());
}

//! Sizes: what the stream refuses by itself, and what is large and taken.

use events::{emitter::EmitError, id::OrgId};
use serde_json::json;
use stack::Stack;
use uuid::Uuid;

use super::{
    cases::{Cases, Structured},
    raw_nats::{RawMessage, RawNats},
};
use crate::harness::{Sent, all_hold, idle_stack, new_run, run, size_reaches, stack};

const KIB: usize = 1024;

/// JSON text of so many bytes.
fn text(bytes: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes()
}

#[tokio::test]
async fn a_payload_of_900_kib_is_appended_in_both_modes() {
    let mut cases = Cases::start().await;
    let binary = cases.valid().carrying(text(900 * KIB));
    cases.appended("binary", binary).await;
    let structured = Structured::carrying(cases.org_id, "custom.probed", Uuid::new_v4(), text(900 * KIB));
    cases.appended_structured("structured", structured).await;
    let run_id = new_run();
    let data = json!({ "context": { "large": "x".repeat(900 * KIB) } });
    let of_a_run = Sent::valid(cases.org_id, "run.context_added", run_id.uuid(), data.clone());
    cases.appended("of a run", of_a_run).await;
    let refused = cases.valid().with("ce-type", "custom.other").carrying(text(900 * KIB));
    cases.refused("refused", refused, "type_mismatch").await;
    cases.all_hold().await;
    let shown = cases.stack.wait_for_run(cases.org_id, run_id, "pending").await.unwrap();
    assert_eq!(shown["context"], data["context"]);
}

#[tokio::test]
async fn many_large_events_in_a_row_are_appended() {
    let mut stack = idle_stack().await;
    let org_id = stack.register_org("large").await.unwrap();
    for _ in 0..12 {
        Sent::valid(org_id, "custom.large", Uuid::new_v4(), json!({})).carrying(text(900 * KIB)).publish(&stack).await;
    }
    stack.start_services().unwrap();
    size_reaches(&stack, org_id, 13).await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_the_publishers_error() {
    let stack = stack().await;
    let org_id = stack.register_org("over the limit").await.unwrap();
    size_reaches(&stack, org_id, 1).await;

    let emitted = emit(&stack, org_id, 1100 * KIB).await;
    assert!(emitted.is_err(), "{emitted:?}");

    let mut raw = RawNats::connect(stack.nats_url()).await;
    let sent = Sent::valid(org_id, "custom.large", Uuid::new_v4(), json!({})).carrying(text(1100 * KIB));
    let refused = raw.publish(&RawMessage::of(&sent, "", b"")).await.unwrap_err();
    assert!(refused.contains("Maximum Payload Violation"), "{refused}");

    // NATS limits headers by themselves.
    let mut raw = RawNats::connect(stack.nats_url()).await;
    let sent = Sent::valid(org_id, "custom.large", Uuid::new_v4(), json!({})).with("ce-authid", &"x".repeat(70 * KIB));
    let refused = raw.publish(&RawMessage::of(&sent, "", b"")).await.unwrap_err();
    assert!(refused.contains("header size"), "{refused}");

    emit(&stack, org_id, 10).await.unwrap();
    size_reaches(&stack, org_id, 2).await;
}

async fn emit(stack: &Stack, org_id: OrgId, bytes: usize) -> Result<(), EmitError> {
    let event = events::Event {
        org_id,
        event_id: events::id::EventId::generate(),
        event_type: "custom.large".to_owned(),
        schema_version: 1,
        subject_id: Uuid::new_v4().try_into().unwrap(),
        source: "/large".to_owned(),
        occurred_at: ledger::now(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: String::from_utf8(text(bytes)).unwrap().into(),
    };
    stack.emitter("/large").emit(&event).await.map(drop)
}

#[tokio::test]
async fn headers_of_60_kib_are_appended_and_verified() {
    let mut cases = Cases::start().await;
    let value = "x".repeat(60 * KIB);
    for header in ["ce-authid", "ce-correlationid", "ce-traceparent", "X-Unknown"] {
        let sent = cases.valid().with(header, &value);
        cases.appended(header, sent).await;
    }
    let long_type = format!("custom.{}", "x".repeat(3000));
    let sent = cases.event(&long_type, json!({}));
    cases.appended("a type of 3,007 bytes", sent).await;
    let source = cases.valid().with("ce-source", &"x".repeat(KIB));
    cases.appended("a source of 1,024 bytes", source).await;
    let beyond = Structured::with_members(
        cases.org_id,
        "custom.probed",
        Uuid::new_v4(),
        json!({ "correlationid": "x".repeat(65_535) }),
        "{}",
    );
    cases.refused("an attribute of 65,535 bytes", beyond.sent, "invalid_event").await;
    cases.all_hold().await;
    let kept: Vec<i32> = sqlx::query_scalar(
        "SELECT octet_length(coalesce(correlation_id, traceparent, extensions ->> 'authid')) FROM ledger.event
         WHERE octet_length(coalesce(correlation_id, traceparent, extensions ->> 'authid')) > 1000",
    )
    .fetch_all(cases.stack.pool())
    .await
    .unwrap();
    assert_eq!(kept, [60 * KIB as i32; 3]);
    let verified = run(&cases.stack, ["verify"]).await;
    assert!(verified.success, "{}", verified.stdout);
}

/// How many events the great run has here: the debug build takes them in some seconds. The benchmark
/// has one of 100,000.
const GREAT_RUN_EVENTS: usize = 20_000;

#[tokio::test]
async fn a_run_with_very_many_events_is_folded_while_the_ledger_stays_responsive() {
    let stack = stack().await;
    let (org_id, other) = (stack.register_org("great").await.unwrap(), stack.register_org("other").await.unwrap());
    size_reaches(&stack, other, 1).await;
    let run_id = new_run();
    let started_at = ledger::now();
    let event = move |index: usize| events::Event {
        org_id,
        event_id: events::id::EventId::generate(),
        event_type: "run.endpoint_used".to_owned(),
        schema_version: 1,
        subject_id: run_id.subject(),
        source: "/great".to_owned(),
        occurred_at: started_at + chrono::TimeDelta::microseconds(index as i64),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: json!({ "endpoint": { "endpoint_id": Uuid::from_u128(1 + index as u128), "n": index } })
            .to_string()
            .into(),
    };
    let emitter = stack.emitter("/great");
    emitter.emit_all(futures::stream::iter((0..GREAT_RUN_EVENTS).map(event))).await.unwrap();

    // Another org's run waits for no more than its share: this gives up after 30 seconds.
    let small = new_run();
    Sent::valid(other, "run.started", small.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(other, small, "running").await.unwrap();

    size_reaches(&stack, org_id, 1 + GREAT_RUN_EVENTS as i64).await;
    // Many were on their way at once, so they need not have arrived in the order of their times.
    all_hold("the great run", async || {
        let shown = stack.run(org_id, run_id).await.unwrap().unwrap_or_default();
        let used: Vec<u64> = shown["endpoints_used"]
            .as_array()
            .map(|used| used.iter().filter_map(|endpoint| endpoint["n"].as_u64()).collect())
            .unwrap_or_default();
        let is_as_expected = used.iter().copied().eq(GREAT_RUN_EVENTS as u64 - 1000..GREAT_RUN_EVENTS as u64);
        let mut faults = Vec::new();
        if !is_as_expected {
            faults.push(format!("{} endpoints from {:?} to {:?}", used.len(), used.first(), used.last()));
        }
        if shown["flags"] != json!(["list_truncated"]) {
            faults.push(format!("flags {}", shown["flags"]));
        }
        faults
    })
    .await;
}

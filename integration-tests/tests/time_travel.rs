//! Any run as it was: `runs show --as-of` and `--known-at`, `runs diff`, `runs history`.

mod changes;
mod points;
mod read_models;

use chrono::{DateTime, Utc};
use events::id::{OrgId, RunId};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, eventually, run, size_reaches};

const START: &str = "2026-01-05T10:00:00Z";

/// So many seconds after ten o'clock.
fn at(seconds: i64) -> String {
    let time = START.parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::seconds(seconds);
    events::time::format(time)
}

async fn publish(stack: &Stack, org_id: OrgId, event_type: &str, run_id: RunId, time: &str, data: Value) {
    let version = if data.get("screenshots").is_some() { 2 } else { 1 };
    let sent = Sent::valid(org_id, event_type, run_id.uuid(), data).with("ce-time", time);
    sent.with("ce-dataschema", &format!("urn:runledger:{event_type}:{version}")).publish(stack).await;
}

/// What a run of two steps sends, one second after the other. The third is late: it happened first; and so
/// are the pictures, of both versions.
fn story() -> Vec<(&'static str, String, Value)> {
    let steps = [Uuid::new_v4(), Uuid::new_v4()];
    let step = |number: usize, rest: Value| {
        let mut data = json!({ "step_id": steps[number - 1] });
        data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        data
    };
    let started = |number: usize| {
        let metadata = json!({ "label": format!("Step no. {number}") });
        let input_data = json!({ "claim": number, "amount": 1.5 });
        step(number, json!({ "step_number": number, "metadata": metadata, "input_data": input_data }))
    };
    let attributes = json!({ "channel": "web", "external_id": "claim 7", "context": { "payer": "Blue Harbor" } });
    vec![
        ("run.started", at(1), attributes),
        ("step.started", at(2), started(1)),
        ("run.created", at(0), json!({ "config_snapshot": { "retries": 3, "portal": { "url": "https://x.test" } } })),
        ("step.event_logged", at(3), step(1, json!({ "event": { "message": "logged in" } }))),
        ("custom.noted", at(4), json!({ "by": "hand" })),
        ("step.completed", at(5), step(1, json!({ "output_data": { "eligible": true } }))),
        ("step.started", at(6), started(2)),
        ("run.context_added", at(7), json!({ "context": { "payer": "Green Valley", "member.id": "M 1" } })),
        ("run.endpoint_used", at(8), json!({ "endpoint": { "endpoint_id": Uuid::new_v4() } })),
        ("step.failed", at(9), step(2, json!({ "error_message": "no answer", "error_details": { "code": 504 } }))),
        ("run.failed", at(10), json!({ "error_message": "no answer" })),
        ("step.screenshot_captured", at(8), step(2, json!({ "screenshot": { "uri": "s3://1" } }))),
        (
            "step.screenshot_captured",
            at(9),
            step(2, json!({ "screenshots": [{ "uri": "s3://2" }, { "uri": "s3://3" }] })),
        ),
    ]
}

/// A registered org and a run with the story in its ledger, from seq 2 on.
async fn told(stack: &Stack, name: &str) -> (OrgId, RunId) {
    let (org_id, run_id) = (stack.register_org(name).await.unwrap(), crate::harness::new_run());
    tell(stack, org_id, run_id).await;
    (org_id, run_id)
}

async fn tell(stack: &Stack, org_id: OrgId, run_id: RunId) {
    let before = crate::harness::size(stack, org_id).await.max(1);
    for (place, (event_type, time, data)) in story().into_iter().enumerate() {
        publish(stack, org_id, event_type, run_id, &time, data).await;
        size_reaches(stack, org_id, before + 1 + place as i64).await;
    }
    projected(stack, org_id).await;
}

/// Waits until the read model of runs is up with an org's ledger.
async fn projected(stack: &Stack, org_id: OrgId) {
    eventually("the projection of runs", async || {
        sqlx::query_scalar::<_, i32>(
            "SELECT 1 FROM ledger.checkpoint JOIN ledger.head USING (org_id)
             WHERE projection = 'user_workflow_run' AND org_id = $1 AND seq = size",
        )
        .bind(org_id.uuid())
        .fetch_optional(stack.pool())
        .await
        .unwrap()
    })
    .await;
}

/// What a command printed, after it succeeded.
async fn printed<const N: usize>(stack: &Stack, arguments: [&str; N]) -> String {
    let printed = run(stack, arguments).await;
    assert!(printed.success, "{arguments:?}: {}", printed.stderr);
    printed.stdout
}

/// What a command complained of, in one line, after it failed and printed nothing.
async fn complaint<const N: usize>(stack: &Stack, arguments: [&str; N]) -> String {
    let printed = run(stack, arguments).await;
    assert!(!printed.success && printed.stdout.is_empty(), "{arguments:?}: {}", printed.stdout);
    printed.stderr
}

/// The JSON that a command printed.
async fn json_of<const N: usize>(stack: &Stack, arguments: [&str; N]) -> Value {
    serde_json::from_str(&printed(stack, arguments).await).unwrap()
}

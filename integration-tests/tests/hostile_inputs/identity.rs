//! Identity: the event id within its org decides, whatever NATS and the emitter say about duplicates.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{Sent, all_hold, dead_letter_code, eventually, new_run, run, size, size_reaches, stack};

#[tokio::test]
async fn the_same_event_counts_once_however_often_it_is_sent() {
    let mut stack = stack().await;
    let org_id = stack.register_org("duplicates").await.unwrap();
    // Without Nats-Msg-Id, so that NATS lets every copy through.
    let sent = Sent::valid(org_id, "run.started", new_run().uuid(), json!({}));
    for _ in 0..5 {
        sent.publish(&stack).await;
    }
    size_reaches(&stack, org_id, 2).await;
    stack.stop_services().await;
    sent.publish(&stack).await;
    stack.start_services().unwrap();
    sent.publish(&stack).await;
    Sent::valid(org_id, "run.started", new_run().uuid(), json!({})).publish(&stack).await;
    size_reaches(&stack, org_id, 3).await;
    assert_eq!(size(&stack, org_id).await, 3);
    assert_eq!(letters(&stack).await, 0);
}

async fn letters(stack: &stack::Stack) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM ledger.dead_letter").fetch_one(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn what_does_not_count_as_content_does_not_make_a_conflict() {
    let stack = stack().await;
    let org_id = stack.register_org("same content").await.unwrap();
    let base = || {
        Sent::valid(org_id, "run.started", Uuid::from_u128(7 << 64), json!({}))
            .with("ce-id", "8f1c2d3e-0000-4000-8000-000000000001")
    };
    base().publish(&stack).await;
    for sent in [
        base().with("ce-authid", "somebody"),
        base().with("ce-sequence", "0000000002"),
        base().with("ce-correlationid", "c"),
        base().with("ce-causationid", "c"),
        base().with("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        base().with("ce-time", "2026-01-05T11:00:00.0000009+01:00"),
        base().with("ce-dataschema", "urn:runledger:run.started:1"),
        base().with("ce-id", "8F1C2D3E-0000-4000-8000-000000000001"),
        base().with("X-Unknown", "x"),
    ] {
        sent.publish(&stack).await;
    }
    Sent::valid(org_id, "custom.behind", Uuid::new_v4(), json!({})).publish(&stack).await;
    size_reaches(&stack, org_id, 3).await;
    assert_eq!((size(&stack, org_id).await, letters(&stack).await), (3, 0));
}

#[tokio::test]
async fn the_same_id_with_other_content_is_a_conflict() {
    let mut stack = stack().await;
    let org_id = stack.register_org("conflicts").await.unwrap();
    let (event_id, subject) = (Uuid::new_v4().to_string(), Uuid::new_v4());
    let base = || Sent::valid(org_id, "custom.a", subject, json!({})).with("ce-id", &event_id);
    base().publish(&stack).await;
    let spoiled = || {
        [
            ("type", Sent::valid(org_id, "custom.b", subject, json!({})).with("ce-id", &event_id)),
            ("source", base().with("ce-source", "/elsewhere")),
            ("subject", base().with("ce-subject", &Uuid::new_v4().to_string())),
            ("time", base().with("ce-time", "2026-01-05T10:00:00.000001Z")),
            ("version", base().with("ce-dataschema", "urn:runledger:custom.a:2")),
            ("data", base().carrying("{ }")),
        ]
    };
    let mut published = Vec::new();
    for (name, sent) in spoiled() {
        published.push((name, sent.publish(&stack).await));
    }
    // The first of the batch may still be in flight; a later process compares with the stored row.
    size_reaches(&stack, org_id, 2).await;
    stack.stop_services().await;
    stack.start_services().unwrap();
    for (name, sent) in spoiled() {
        published.push((name, sent.publish(&stack).await));
    }
    all_hold("conflicts", async || {
        let mut faults = Vec::new();
        for (name, stream_seq) in &published {
            let code: Option<String> = sqlx::query_scalar("SELECT code FROM ledger.dead_letter WHERE stream_seq = $1")
                .bind(*stream_seq as i64)
                .fetch_optional(stack.pool())
                .await
                .unwrap();
            if code.as_deref() != Some("conflict") {
                faults.push(format!("{name}: {code:?}"));
            }
        }
        faults
    })
    .await;
    assert_eq!(size(&stack, org_id).await, 2);
    let verified = run(&stack, ["verify"]).await;
    assert!(verified.success, "{}", verified.stdout);
}

#[tokio::test]
async fn the_same_id_in_another_org_is_another_event() {
    let stack = stack().await;
    let (one, two) = (stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap());
    let (event_id, run_id) = (Uuid::new_v4().to_string(), new_run());
    for (org_id, external_id) in [(one, "of one"), (two, "of two")] {
        let data = json!({ "external_id": external_id });
        Sent::valid(org_id, "run.started", run_id.uuid(), data).with("ce-id", &event_id).publish(&stack).await;
    }
    Sent::valid(two, "run.completed", run_id.uuid(), json!({})).publish(&stack).await;
    let of_two = stack.wait_for_run(two, run_id, "completed").await.unwrap();
    let of_one = stack.wait_for_run(one, run_id, "running").await.unwrap();
    assert_eq!((&of_one["external_id"], &of_two["external_id"]), (&json!("of one"), &json!("of two")));
    assert_eq!((size(&stack, one).await, size(&stack, two).await), (2, 3));
    assert_eq!(letters(&stack).await, 0);
}

#[tokio::test]
async fn a_step_id_in_two_runs_is_two_steps() {
    let stack = stack().await;
    let org_id = stack.register_org("steps").await.unwrap();
    let (one, two, step) = (new_run(), new_run(), Uuid::new_v4());
    for (run_id, event_type) in [(one, "step.started"), (two, "step.started"), (two, "step.completed")] {
        Sent::valid(org_id, event_type, run_id.uuid(), json!({ "step_id": step })).publish(&stack).await;
    }
    let step_id = step.try_into().unwrap();
    eventually("both steps", async || {
        let of_one = stack.step(org_id, one, step_id).await.unwrap()?;
        let of_two = stack.step(org_id, two, step_id).await.unwrap()?;
        (of_one["status"] == "running" && of_two["status"] == "completed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_forged_message_id_changes_nothing_for_the_ledger() {
    let stack = stack().await;
    let org_id = stack.register_org("forged").await.unwrap();
    let valid = || Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({}));
    let msg_id = format!("{org_id}:{}", Uuid::new_v4());
    let first = valid().with("Nats-Msg-Id", &msg_id);
    let stream_seq = first.publish(&stack).await;
    // NATS drops it, and says so: the acknowledgement names the message that stands there.
    let reused = valid().with("Nats-Msg-Id", &msg_id);
    assert_eq!(reused.publish(&stack).await, stream_seq);
    // The event of the first under other ids of the message: the same event.
    first.publish(&stack).await;
    let id = first.header("ce-id").to_owned();
    let again = Sent { subject: first.subject.clone(), headers: first.headers.clone(), payload: first.payload.clone() };
    again.with("Nats-Msg-Id", "anything").publish(&stack).await;
    // Another event under an id that names the first.
    let other = valid().with("Nats-Msg-Id", &format!("{org_id}:{id}"));
    other.publish(&stack).await;
    let changed = valid().with("ce-id", &id).with("ce-subject", first.header("ce-subject")).carrying("[]");
    let changed = changed.with("Nats-Msg-Id", "something else").publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, changed).await, "conflict");
    size_reaches(&stack, org_id, 3).await;
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT event_id::text FROM ledger.event WHERE org_id = $1 AND seq > 1 ORDER BY seq")
            .bind(org_id.uuid())
            .fetch_all(stack.pool())
            .await
            .unwrap();
    assert_eq!(ids, [id, other.header("ce-id").to_owned()]);
}

//! Events that were refused for a reason that goes away: an org that is registered later, a type that a
//! later version knows.

use events::id::OrgId;
use serde_json::json;
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, dead_letter_code, eventually, idle_stack, new_run, run, size, size_reaches, stack};

async fn state(stack: &Stack, stream_seq: u64) -> (String, String, i32) {
    sqlx::query_as("SELECT state, code, attempts FROM ledger.dead_letter WHERE stream_seq = $1")
        .bind(stream_seq as i64)
        .fetch_one(stack.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn events_of_an_unknown_org_are_appended_by_themselves_once_it_is_registered() {
    let stack = stack().await;
    let org_id = OrgId::try_from(Uuid::new_v4()).unwrap();
    let run_id = new_run();
    let mut early = Vec::new();
    for event_type in ["run.created", "run.started", "run.completed"] {
        let sent = Sent::valid(org_id, event_type, run_id.uuid(), json!({}));
        early.push(sent.publish(&stack).await);
    }
    for stream_seq in &early {
        assert_eq!(dead_letter_code(&stack, *stream_seq).await, "unknown_org");
    }
    let added = run(&stack, ["org", "add", "Late", "--id", &org_id.to_string(), "--json"]).await;
    assert!(added.success, "{}", added.stderr);
    let shown = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    assert_eq!(shown["flags"], json!([]));
    size_reaches(&stack, org_id, 4).await;
    let types: Vec<String> = sqlx::query_scalar("SELECT event_type FROM ledger.event WHERE org_id = $1 ORDER BY seq")
        .bind(org_id.uuid())
        .fetch_all(stack.pool())
        .await
        .unwrap();
    assert_eq!(types, ["org.registered", "run.created", "run.started", "run.completed"], "not in the order they came");
    for stream_seq in early {
        assert_eq!(state(&stack, stream_seq).await, ("retried".to_owned(), "unknown_org".to_owned(), 2));
    }
}

#[tokio::test]
async fn an_org_that_is_registered_in_the_middle_of_its_events_gets_them_all() {
    let mut stack = idle_stack().await;
    let org_id = OrgId::try_from(Uuid::new_v4()).unwrap();
    let publish = async |event_type: &str, subject: Uuid, data| {
        Sent::valid(org_id, event_type, subject, data).publish(&stack).await
    };
    publish("custom.before", Uuid::new_v4(), json!({})).await;
    publish("org.registered", org_id.uuid(), json!({ "name": "Middle" })).await;
    publish("custom.behind", Uuid::new_v4(), json!({})).await;
    stack.start_services().unwrap();
    size_reaches(&stack, org_id, 3).await;
    assert_eq!(size(&stack, org_id).await, 3);
}

#[tokio::test]
async fn an_org_that_registers_with_a_refused_payload_stays_unknown() {
    let stack = stack().await;
    let org_id = OrgId::try_from(Uuid::new_v4()).unwrap();
    let nameless = Sent::valid(org_id, "org.registered", org_id.uuid(), json!({})).publish(&stack).await;
    let event = Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({})).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, nameless).await, "invalid_event");
    assert_eq!(dead_letter_code(&stack, event).await, "unknown_org");
    let heads: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.head WHERE org_id = $1")
        .bind(org_id.uuid())
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(heads, 0);
}

#[tokio::test]
async fn an_unknown_type_is_tried_again_by_a_new_process_and_stays_open() {
    let mut stack = stack().await;
    let org_id = stack.register_org("unknown types").await.unwrap();
    let stream_seq = Sent::valid(org_id, "run.exploded", Uuid::new_v4(), json!({})).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, stream_seq).await, "unknown_type");
    assert_eq!(state(&stack, stream_seq).await, ("open".to_owned(), "unknown_type".to_owned(), 1));
    stack.stop_services().await;
    stack.start_services().unwrap();
    eventually("the new process to try it", async || (state(&stack, stream_seq).await.2 == 2).then_some(())).await;
    assert_eq!(state(&stack, stream_seq).await, ("open".to_owned(), "unknown_type".to_owned(), 2));
    // Once by each process, not for ever: the next round of the same process finds nothing to do.
    Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({})).publish(&stack).await;
    stack.register_org("another round").await.unwrap();
    size_reaches(&stack, org_id, 2).await;
    assert_eq!(state(&stack, stream_seq).await.2, 2);
}

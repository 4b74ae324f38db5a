//! `runledger seed`: a small sample, the same every time.

use std::collections::BTreeMap;

use events::id::SHARED_ORG;
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use super::Ended;
use crate::harness::{self, Sent, run, runledger, shared_events, size_reaches, stack};

async fn seed(stack: &Stack) -> Value {
    Ended::of(&mut runledger(stack, ["seed", "--json"])).await.objects().pop().unwrap()
}

async fn texts(stack: &Stack, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(stack.pool()).await.unwrap()
}

async fn ledger(stack: &Stack) -> Vec<String> {
    texts(stack, "SELECT concat_ws(' ', org_id, size, encode(root, 'hex')) FROM ledger.head ORDER BY 1").await
}

#[tokio::test]
async fn the_sample_is_published_once_however_often_it_is_asked_for() {
    let stack = stack().await;
    let seeded = seed(&stack).await;
    assert_eq!(seeded["new"], seeded["events"]);
    let (before, runs) =
        (ledger(&stack).await, texts(&stack, "SELECT run::text FROM user_workflow_run run ORDER BY 1").await);
    assert_eq!(json!(runs.len()), seeded["runs"]);
    // As if NATS had forgotten what it had.
    let jetstream = async_nats::jetstream::new(stack.client().clone());
    jetstream.get_stream("RUNLEDGER").await.unwrap().purge().await.unwrap();
    let again = seed(&stack).await;
    assert_eq!((&again["new"], &again["events"], &again["orgs"]), (&json!(0), &seeded["events"], &seeded["orgs"]));
    assert_eq!(ledger(&stack).await, before);
    assert_eq!(texts(&stack, "SELECT run::text FROM user_workflow_run run ORDER BY 1").await, runs);
    assert_eq!(texts(&stack, "SELECT code FROM ledger.dead_letter").await, [""; 0]);
    assert_eq!(texts(&stack, "SELECT projection FROM ledger.parked").await, [""; 0]);
}

#[tokio::test]
async fn the_sample_has_something_of_everything() {
    let stack = stack().await;
    seed(&stack).await;
    let distinct = texts(&stack, "SELECT DISTINCT status FROM user_workflow_run ORDER BY 1").await;
    assert_eq!(distinct, ["cancelled", "completed", "failed", "pending", "running", "timeout"]);
    let distinct = texts(&stack, "SELECT DISTINCT status FROM user_workflow_run_step ORDER BY 1").await;
    assert_eq!(distinct, ["completed", "failed", "running", "skipped"]);
    let distinct = texts(&stack, "SELECT DISTINCT channel FROM user_workflow_run ORDER BY 1").await;
    assert_eq!(distinct, ["efax", "voice", "web"]);
    let batches = texts(&stack, "SELECT status || ' ' || rows_total FROM batch_job ORDER BY 1").await;
    assert_eq!(batches, ["completed 9", "running 6"]);
    let counts: Vec<(String, i64)> = sqlx::query_as(
        "SELECT 'users', count(*) FROM app_user UNION ALL
         SELECT 'revised workflows', count(*) FROM user_workflow WHERE revision_count = 2 UNION ALL
         SELECT 'portal types', count(*) FROM portal_type UNION ALL
         SELECT 'endpoints', count(*) FROM integration_endpoint UNION ALL
         SELECT 'task types', count(*) FROM task_type UNION ALL
         SELECT 'signatures', count(*) FROM resolved_task_signature WHERE task_type_id IS NOT NULL AND flags = '{}' UNION ALL
         SELECT 'requirements', count(*) FROM effective_requirements WHERE level_from <> 'global' UNION ALL
         SELECT 'retried steps', count(*) FROM user_workflow_run_step WHERE retry_count > 0 UNION ALL
         SELECT 'steps with screenshots', count(*) FROM user_workflow_run_step WHERE screenshots <> '[]' UNION ALL
         SELECT 'steps with logged events', count(*) FROM user_workflow_run_step WHERE events <> '[]' UNION ALL
         SELECT 'runs with errors', count(*) FROM user_workflow_run WHERE error_message IS NOT NULL UNION ALL
         SELECT 'runs over endpoints of the catalogue', count(*) FROM user_workflow_run AS run WHERE EXISTS (
             SELECT FROM integration_endpoint AS it
             WHERE it.org_id = run.org_id AND it.endpoint_id::text = run.endpoints_used->0->>'endpoint_id')",
    )
    .fetch_all(stack.pool())
    .await
    .unwrap();
    let counts: BTreeMap<_, _> = counts.into_iter().collect();
    for (what, count) in &counts {
        assert!(*count > 0, "no {what}: {counts:?}");
    }
    // Nothing about it is odd.
    let flagged = texts(&stack, "SELECT run_id::text || flags::text FROM user_workflow_run WHERE flags <> '{}'").await;
    assert_eq!(flagged, [""; 0]);
}

#[tokio::test]
async fn an_event_of_everyones_that_does_not_arrive_is_told() {
    let stack = stack().await;
    // Somebody's message has the name of the first rule's, so the stream takes that for the same and drops it.
    let first = {
        let elsewhere = harness::stack().await;
        seed(&elsewhere).await;
        let id =
            "SELECT event_id::text FROM ledger.event WHERE event_type = 'requirement.set' ORDER BY org_id, seq LIMIT 1";
        texts(&elsewhere, id).await.remove(0)
    };
    let other = json!({ "field": "other", "level": "optional" });
    let other = Sent::valid(SHARED_ORG, "requirement.set", Uuid::new_v4(), other);
    other.with("Nats-Msg-Id", &format!("{SHARED_ORG}:{first}")).publish(&stack).await;
    size_reaches(&stack, SHARED_ORG, shared_events() + 1).await;
    let seeded = run(&stack, ["seed"]).await;
    assert!(!seeded.success && seeded.stderr.contains("dead-letters list"), "{}", seeded.stderr);
}

#[tokio::test]
async fn what_it_says_to_look_at_is_there() {
    let stack = stack().await;
    let seeded = run(&stack, ["seed"]).await;
    assert!(seeded.success, "{}", seeded.stderr);
    let commands: Vec<_> = seeded.stdout.lines().filter_map(|line| line.strip_prefix("  runledger ")).collect();
    assert_eq!(commands.len(), 7, "{}", seeded.stdout);
    for command in commands {
        let mut look = runledger(&stack, []);
        let looked = Ended::of(look.args(command.split(' '))).await;
        assert_eq!(looked.code, Some(0), "{command}: {}", looked.stderr);
        assert!(looked.stdout.lines().count() > 3, "{command}: {}", looked.stdout);
    }
}

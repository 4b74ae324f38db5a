//! Several ledger and projector processes: they share the work, and killing one in mid-batch loses
//! nothing, doubles nothing, and is made up for by the others within seconds.

use std::time::{Duration, Instant};

use events::id::OrgId;
use serde_json::json;
use stack::Stack;
use tokio::process::Child;
use uuid::Uuid;

use crate::harness::{Sent, eventually, idle_stack, new_run, run, runledger, size, size_reaches};

/// What the issue asks for.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// The advisory lock classes of the ledger: see `ledger::ingest::lease`.
const LEASE: i32 = 0x726C_6C31;
const MEMBER: i32 = 0x726C_6D31;

fn start(stack: &Stack, service: &str) -> Child {
    runledger(stack, [service]).spawn().unwrap()
}

/// How many partitions are leased, and how many ledgers share them.
async fn leases_and_members(stack: &Stack) -> (i64, i64) {
    let count = |class: i32| {
        sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = $1
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .bind(i64::from(class))
        .fetch_one(stack.pool())
    };
    (count(LEASE).await.unwrap(), count(MEMBER).await.unwrap())
}

/// Publishes `count` runs of two events each, without waiting for anything else.
async fn publish_runs(stack: &Stack, org_id: OrgId, count: usize) {
    let emitter = stack.emitter("/takeover");
    let events = (0..count).flat_map(|_| {
        let run_id = new_run();
        ["run.started", "run.completed"].map(|event_type| event(org_id, event_type, run_id.uuid()))
    });
    emitter.emit_all(futures::stream::iter(events)).await.unwrap();
}

fn event(org_id: OrgId, event_type: &str, run_id: Uuid) -> events::Event {
    events::Event {
        org_id,
        event_id: Uuid::new_v4().try_into().unwrap(),
        event_type: event_type.to_owned(),
        schema_version: 1,
        subject_id: run_id.try_into().unwrap(),
        source: "/takeover".to_owned(),
        occurred_at: ledger::now(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: json!({}).to_string().into(),
    }
}

#[tokio::test]
async fn ledgers_share_the_partitions_and_take_over_from_one_that_is_killed_in_mid_batch() {
    let stack = idle_stack().await;
    let mut orgs = Vec::new();
    for index in 0..8 {
        orgs.push(stack.register_org(&format!("org {index}")).await.unwrap());
    }
    let mut ledgers = [start(&stack, "ledger"), start(&stack, "ledger")];
    eventually("all partitions to be shared by two", async || {
        (leases_and_members(&stack).await == (16, 2)).then_some(())
    })
    .await;

    for &org_id in &orgs {
        publish_runs(&stack, org_id, 500).await;
    }
    eventually("the ledgers to be in the middle of it", async || (size(&stack, orgs[0]).await > 1).then_some(())).await;
    ledgers[0].kill().await.unwrap();
    let killed = Instant::now();
    eventually("the survivor to hold all partitions", async || {
        (leases_and_members(&stack).await == (16, 1)).then_some(())
    })
    .await;
    assert!(killed.elapsed() < TAKEOVER_MAX, "the takeover took {:?}", killed.elapsed());

    // One more of each org, so that every partition is seen to be read on.
    for &org_id in &orgs {
        publish_runs(&stack, org_id, 1).await;
    }
    for &org_id in &orgs {
        size_reaches(&stack, org_id, 1 + 2 * 501).await;
        assert_eq!(size(&stack, org_id).await, 1 + 2 * 501, "an event counted twice");
    }
    let verified = run(&stack, ["verify"]).await;
    assert!(verified.success, "{}{}", verified.stdout, verified.stderr);
}

#[tokio::test]
async fn a_ledger_killed_again_and_again_under_load_loses_and_doubles_nothing() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("killed").await.unwrap();
    let published = tokio::spawn({
        let emitter = stack.emitter("/takeover");
        async move {
            let events = (0..3_000).map(|_| event(org_id, "run.started", new_run().uuid()));
            emitter.emit_all(futures::stream::iter(events)).await.unwrap()
        }
    });
    for round in 0..5 {
        let before = size(&stack, org_id).await;
        let mut ledger = start(&stack, "ledger");
        eventually("progress", async || {
            (size(&stack, org_id).await > before || round > 0 && before == 3_001).then_some(())
        })
        .await;
        ledger.kill().await.unwrap();
    }
    assert_eq!(published.await.unwrap(), 3_000);
    let _ledger = start(&stack, "ledger");
    size_reaches(&stack, org_id, 3_001).await;
    assert_eq!(size(&stack, org_id).await, 3_001);
    let verified = run(&stack, ["verify"]).await;
    assert!(verified.success, "{}", verified.stdout);
}

#[tokio::test]
async fn projectors_share_the_orgs_and_leave_rows_equal_to_the_fold_when_killed() {
    let stack = idle_stack().await;
    let mut orgs = Vec::new();
    for index in 0..4 {
        orgs.push(stack.register_org(&format!("org {index}")).await.unwrap());
    }
    let _ledger = start(&stack, "ledger");
    let mut projectors = [start(&stack, "projector"), start(&stack, "projector")];
    for round in 0..3 {
        for &org_id in &orgs {
            publish_runs(&stack, org_id, 200).await;
        }
        let victim = round % 2;
        projectors[victim].kill().await.unwrap();
        projectors[victim] = start(&stack, "projector");
    }
    for &org_id in &orgs {
        size_reaches(&stack, org_id, 1 + 3 * 400).await;
    }
    eventually("every run to be completed", async || {
        let row: (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE status = 'completed' AND started_at IS NOT NULL) FROM user_workflow_run",
        )
        .fetch_one(stack.pool())
        .await
        .unwrap();
        (row == (4 * 600, 4 * 600)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_copies_of_up_at_once_are_one_ledger() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("two").await.unwrap();
    let _copies = [start(&stack, "up"), start(&stack, "up")];
    let run_id = new_run();
    for event_type in ["run.started", "run.completed"] {
        Sent::valid(org_id, event_type, run_id.uuid(), json!({})).publish(&stack).await;
    }
    let shown = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    assert_eq!(shown["run_id"], run_id.to_string());
    assert_eq!(size(&stack, org_id).await, 3);
}

//! Orgs share the steps of a projection: whoever is in trouble holds up none of the others.

use std::sync::Arc;

use events::id::{OrgId, RunId};
use ledger::connection::{Database, Outage, Role};
use projector::Projector;
use serde_json::json;
use sqlx::Connection;
use stack::Stack;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::plant;
use crate::harness::{Sent, eventually, idle_stack, new_run, run, runledger, size_reaches, stack};

/// Orgs whose events are in the ledger, before any projector has run.
async fn registered(stack: &Stack, orgs: usize) -> Vec<OrgId> {
    let _ledger = runledger(stack, ["ledger"]).spawn().unwrap();
    let mut registered = Vec::new();
    for number in 0..orgs {
        let org_id = stack.register_org(&format!("org {number}")).await.unwrap();
        size_reaches(stack, org_id, 1).await;
        registered.push(org_id);
    }
    registered
}

async fn start(stack: &Stack, org_id: OrgId) -> RunId {
    let run_id = new_run();
    plant(stack, org_id, "run.started", 1, run_id.uuid(), "{}").await;
    run_id
}

/// A projector that begins with everything that is behind at once.
fn project(stack: &Stack) -> (JoinHandle<()>, CancellationToken) {
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    let projector = Projector::new(database, Arc::new(Outage::of("PostgreSQL"))).unwrap();
    let shutdown = CancellationToken::new();
    let running = projector.run(shutdown.clone());
    (tokio::spawn(async move { running.await.unwrap() }), shutdown)
}

#[tokio::test]
async fn orgs_that_wait_together_are_folded_in_one_transaction() {
    let stack = idle_stack().await;
    let orgs = registered(&stack, 5).await;
    for &org_id in &orgs {
        start(&stack, org_id).await;
    }
    let (task, shutdown) = project(&stack);
    let (rows, transactions) = eventually("every run to be seen", async || {
        let counts: (i64, i64) = sqlx::query_as("SELECT count(*), count(DISTINCT xmin::text) FROM user_workflow_run")
            .fetch_one(stack.pool())
            .await
            .unwrap();
        (counts.0 == orgs.len() as i64).then_some(counts)
    })
    .await;
    assert_eq!((rows, transactions), (5, 1));
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_refused_row_a_newer_event_and_an_org_in_other_hands_hold_up_none_of_the_others() {
    let stack = idle_stack().await;
    let orgs = registered(&stack, 6).await;
    let [refused, newer, claimed, healthy @ ..] = &orgs[..] else { unreachable!() };
    let refuse = "ALTER TABLE user_workflow_run ADD CONSTRAINT no_such_id CHECK (external_id <> 'refused')";
    sqlx::raw_sql(refuse).execute(stack.pool()).await.unwrap();
    let odd = start(&stack, *refused).await;
    plant(&stack, *refused, "run.created", 1, odd.uuid(), r#"{"external_id": "refused"}"#).await;
    let old = start(&stack, *newer).await;
    plant(&stack, *newer, "run.completed", 99, old.uuid(), "{}").await;
    let held = start(&stack, *claimed).await;
    let mut runs = Vec::new();
    for &org_id in healthy {
        runs.push((org_id, start(&stack, org_id).await));
    }

    // What another projector does as long as its step lasts.
    let mut other = stack.pool().acquire().await.unwrap();
    sqlx::raw_sql("SELECT ledger.begin_projection('user_workflow_run', 1, '0')").execute(&mut *other).await.unwrap();
    let mut claim = other.begin().await.unwrap();
    let checkpoint = "INSERT INTO ledger.checkpoint (projection, version, generation, org_id, seq)
                      VALUES ('user_workflow_run', 1, 1, $1, 0)";
    sqlx::query(checkpoint).bind(claimed.uuid()).execute(&mut *claim).await.unwrap();
    claim.commit().await.unwrap();
    let mut claim = other.begin().await.unwrap();
    let lock = "SELECT 1 FROM ledger.checkpoint WHERE org_id = $1 FOR UPDATE";
    sqlx::query(lock).bind(claimed.uuid()).execute(&mut *claim).await.unwrap();

    let (task, shutdown) = project(&stack);
    for (org_id, run_id) in runs {
        stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    }
    stack.wait_for_run(*newer, old, "running").await.unwrap();
    eventually("the refused event to be parked", async || {
        let shown = stack.run(*refused, odd).await.unwrap()?;
        (shown["flags"] == json!(["unfoldable_event"])).then_some(())
    })
    .await;
    assert!(stack.run(*claimed, held).await.unwrap().is_none(), "the org is in other hands");
    claim.rollback().await.unwrap();
    stack.wait_for_run(*claimed, held, "running").await.unwrap();

    let parked: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT org_id, seq FROM ledger.parked").fetch_all(stack.pool()).await.unwrap();
    assert_eq!(parked, [(refused.uuid(), 3)]);
    for org_id in orgs.iter().filter(|org_id| *org_id != newer).map(OrgId::to_string) {
        let same = run(&stack, ["rebuild", "user_workflow_run", "--org", &org_id, "--dry-run"]).await;
        assert!(same.success, "{}{}", same.stdout, same.stderr);
    }
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn nothing_that_concerns_a_projection_is_passed_over() {
    let stack = stack().await;
    let org_id = stack.register_org("passed").await.unwrap();
    let mut size = 1;
    for round in 0..6 {
        for _ in 0..20 {
            Sent::valid(org_id, "run.started", new_run().uuid(), json!({})).publish(&stack).await;
        }
        let user = json!({ "email": "ada@example.org", "display_name": format!("Ada {round}") });
        Sent::valid(org_id, "user.registered", Uuid::new_v4(), user).publish(&stack).await;
        size += 21;
        // In the midst of it, between two moves past what does not concern it.
        size_reaches(&stack, org_id, size).await;
    }
    eventually("every projection to be there", async || {
        let mut conn = stack.pool().acquire().await.unwrap();
        (projector::projected_through(&mut conn, org_id).await.unwrap().get() == size).then_some(())
    })
    .await;
    let same = run(&stack, ["rebuild", "--all", "--dry-run"]).await;
    assert!(same.success, "{}{}", same.stdout, same.stderr);
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM app_user").fetch_one(stack.pool()).await.unwrap();
    assert_eq!(users, 6);
}

#[tokio::test]
async fn a_checkpoint_in_other_hands_is_not_moved() {
    let stack = stack().await;
    let org_id = stack.register_org("held").await.unwrap();
    let seq = async || -> Option<i64> {
        sqlx::query_scalar("SELECT seq FROM ledger.checkpoint WHERE org_id = $1 AND projection = 'app_user'")
            .bind(org_id.uuid())
            .fetch_optional(stack.pool())
            .await
            .unwrap()
    };
    let reaches =
        async |goal: i64| eventually("the users to be there", async || seq().await.filter(|seq| *seq == goal)).await;
    reaches(1).await;
    let mut holder = stack.pool().acquire().await.unwrap();
    let mut held = holder.begin().await.unwrap();
    let lock = "SELECT 1 FROM ledger.checkpoint WHERE org_id = $1 AND projection = 'app_user' FOR UPDATE";
    sqlx::query(lock).bind(org_id.uuid()).execute(&mut *held).await.unwrap();
    let run_id = new_run();
    Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    // Others are moved meanwhile.
    eventually("the org to be there", async || {
        let moved: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM ledger.checkpoint WHERE org_id = $1 AND projection = 'organization' AND seq = 2",
        )
        .bind(org_id.uuid())
        .fetch_optional(stack.pool())
        .await
        .unwrap();
        moved
    })
    .await;
    assert_eq!(seq().await, Some(1));
    held.rollback().await.unwrap();
    reaches(2).await;
}

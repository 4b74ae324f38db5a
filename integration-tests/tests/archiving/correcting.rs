//! Imports and runs whose events are archived are taken back, rebuilt and shown as any others.

use events::id::{OrgId, RunId};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use super::{archive_and_drop, directory, in_table};
use crate::harness::{eventually, run, stack};

async fn command<const N: usize>(stack: &Stack, arguments: [&str; N]) -> Value {
    let printed = run(stack, arguments).await;
    assert!(printed.success, "{arguments:?}: {}", printed.stderr);
    serde_json::from_str(&printed.stdout).unwrap()
}

/// The runs of an org, as read models have them.
async fn runs(stack: &Stack, org_id: OrgId) -> Vec<(Uuid, String)> {
    let query = "SELECT run_id, row_to_json(run)::text FROM user_workflow_run run WHERE org_id = $1 ORDER BY run_id";
    sqlx::query_as(query).bind(org_id.uuid()).fetch_all(stack.pool()).await.unwrap()
}

async fn number_of_runs(stack: &Stack, org_id: OrgId, expected: usize) {
    eventually(&format!("{expected} runs"), async || (runs(stack, org_id).await.len() == expected).then_some(())).await;
}

async fn rebuilt_agrees(stack: &Stack) {
    let printed = run(stack, ["rebuild", "--all", "--dry-run"]).await;
    assert!(printed.success, "{}{}", printed.stdout, printed.stderr);
}

#[tokio::test]
async fn an_archived_import_is_listed_reverted_and_brought_again() {
    let stack = stack().await;
    let org_id = stack.register_org("archived import").await.unwrap();
    let (_guard, path) = directory();
    std::fs::create_dir_all(&path).unwrap();
    let log = format!("{path}/log.csv");
    let lines: String = (0..20).map(|n| format!("case-{n},RELEASE,2025-03-01 09:{n:02}:00\n")).collect();
    std::fs::write(&log, format!("case_id,activity,timestamp\n{lines}")).unwrap();
    let org = org_id.to_string();
    let import = async || command(&stack, ["import", "event-log", "--json", "--org", &org, &log]).await;
    let import_id = import().await["import_id"].as_str().unwrap().to_owned();
    number_of_runs(&stack, org_id, 20).await;
    let before = runs(&stack, org_id).await;
    let list = async || command(&stack, ["import", "list", "--org", &org, "--json"]).await;
    let listed = list().await;

    // One run is taken back by hand, and that is archived too.
    let by_hand = before[3].0.to_string();
    let retract = ["runs", "retract", &by_hand, "--reason", "wrong patient"];
    assert!(run(&stack, retract).await.success);
    number_of_runs(&stack, org_id, 19).await;
    archive_and_drop(&stack, org_id, &path).await;
    assert_eq!(in_table(&stack, org_id).await, [0_i64; 0]);
    let mut expected = listed.clone();
    expected["retracted"] = json!(1);
    assert_eq!(list().await, expected);
    rebuilt_agrees(&stack).await;

    let reverted = run(&stack, ["import", "revert", &import_id, "--json"]).await;
    assert!(reverted.success, "{}", reverted.stderr);
    number_of_runs(&stack, org_id, 0).await;
    assert_eq!(list().await["retracted"], 20);
    archive_and_drop(&stack, org_id, &path).await;
    rebuilt_agrees(&stack).await;

    // The same file again: its events are duplicates, and what the revert took is back.
    import().await;
    number_of_runs(&stack, org_id, 19).await;
    assert!(run(&stack, ["runs", "reinstate", &by_hand, "--reason", "right patient"]).await.success);
    number_of_runs(&stack, org_id, 20).await;
    assert_eq!(list().await, listed);
    rebuilt_agrees(&stack).await;
    let verified = run(&stack, ["verify", "--archive"]).await;
    assert!(verified.success, "{}", verified.stdout);
}

#[tokio::test]
async fn a_run_of_which_only_the_archive_has_events_is_found_by_its_id() {
    let stack = stack().await;
    let org_id = stack.register_org("found").await.unwrap();
    let run_id: RunId = crate::harness::new_run();
    crate::harness::Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    let run_id = run_id.uuid().to_string();
    let history = async || {
        let printed = run(&stack, ["runs", "history", &run_id, "--json"]).await;
        assert!(printed.success, "{}", printed.stderr);
        printed.stdout
    };
    let before = history().await;
    let (_guard, path) = directory();
    archive_and_drop(&stack, org_id, &path).await;
    assert_eq!(history().await, before);
    assert!(run(&stack, ["runs", "retract", &run_id, "--reason", "r"]).await.success);
    // It has no row any more, and no event in the table but the retraction.
    number_of_runs(&stack, org_id, 0).await;
    archive_and_drop(&stack, org_id, &path).await;
    let now = history().await;
    assert!(now.starts_with(before.lines().next().unwrap()) && now.contains("run.retracted"), "{now}");
}

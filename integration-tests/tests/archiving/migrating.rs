//! `archive --drop` and `migrate` at the same time: each leaves the other the partitions that it works on.

use std::{process::Stdio, time::Duration};

use stack::Stack;
use tokio::{io::AsyncBufReadExt, time::timeout};

use super::{
    append_events, archive, directory, dropping::waiting_drop, execute, in_table, org_of, run_events, verdict,
};
use crate::harness::{eventually, idle_stack, new_run, run, runledger};

/// As the migration that made them finds a ledger in use: indexes that no partition has yet.
const INDEXES_ANEW: &str = concat!(
    "DROP INDEX ledger.event_import, ledger.event_correction; ",
    include_str!("../../../migrations/0016_corrections.sql")
);

async fn is_building(stack: &Stack) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                        AND query LIKE 'CREATE INDEX CONCURRENTLY%')",
    )
    .fetch_one(stack.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn a_migration_waits_for_a_drop_before_it_builds_indexes() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 50, 7).await;
    let (_guard, path) = directory();
    archive(&stack, org_id, &path).await;
    append_events(&stack, &run_events(org_id, new_run(), 3)).await;
    execute(&stack, INDEXES_ANEW).await;
    let mut long = stack.pool().begin().await.unwrap();
    let mut dropping = waiting_drop(&stack, org_id, &mut long).await;
    let mut migrating = runledger(&stack, ["migrate"]).env("RUST_LOG", "info").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = tokio::io::BufReader::new(migrating.stderr.take().unwrap()).lines();
    let waits =
        async { while !log.next_line().await.unwrap().expect("a line that says it waits").contains("waiting for") {} };
    timeout(Duration::from_secs(60), waits).await.unwrap();
    assert!(!is_building(&stack).await && dropping.try_wait().unwrap().is_none());
    long.commit().await.unwrap();
    assert!(dropping.wait().await.unwrap().success());
    assert!(migrating.wait().await.unwrap().success());
    assert_eq!(in_table(&stack, org_id).await, [51, 52, 53]);
    let check = run(&stack, ["migrate", "--check"]).await;
    assert!(check.success, "{}", check.stdout);
    assert_eq!(verdict(&stack, org_id, None).await["verdict"], "intact");
}

#[tokio::test]
async fn a_drop_says_that_a_migration_is_building_indexes() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 50, 7).await;
    let (_guard, path) = directory();
    archive(&stack, org_id, &path).await;
    execute(&stack, INDEXES_ANEW).await;
    // A build waits for older snapshots.
    let mut long = stack.pool().begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::query("SELECT 1").execute(&mut *long).await.unwrap();
    let mut migrating = runledger(&stack, ["migrate"]).spawn().unwrap();
    eventually("an index to be built", async || is_building(&stack).await.then_some(())).await;
    let org = org_id.to_string();
    let printed = run(&stack, ["archive", "--org", &org, "--drop"]).await;
    assert!(!printed.success && printed.stderr.contains("`runledger migrate` is changing"), "{}", printed.stderr);
    long.commit().await.unwrap();
    assert!(migrating.wait().await.unwrap().success());
    let printed = run(&stack, ["archive", "--org", &org, "--drop"]).await;
    assert!(printed.success, "{}", printed.stderr);
    assert!(run(&stack, ["migrate", "--check"]).await.success);
}

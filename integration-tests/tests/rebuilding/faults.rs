//! What may go wrong: a rebuild that is killed, two at once, damaged events, rows that PostgreSQL refuses.

use std::time::Duration;

use ledger::connection::{Database, Role};
use projector::rebuild::{Order, RebuildError};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};

use super::{dry_run, event, execute, org_with_runs, projected, projection, publish, rebuild, rows};
use crate::harness::{eventually, run, runledger, stack};

/// The tables in the making and what is loaded of them.
async fn leavings(stack: &stack::Stack) -> (i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'rebuild'),
                (SELECT count(*) FROM ledger.checkpoint JOIN ledger.generation USING (projection, generation) WHERE place = 'rebuild')",
    )
    .fetch_one(stack.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn a_rebuild_killed_in_mid_load_leaves_what_serves_and_the_next_one_goes_on() {
    let stack = stack().await;
    org_with_runs(&stack, 4).await;
    org_with_runs(&stack, 3).await;
    let before = rows(&stack, "user_workflow_run_step").await;
    // The smallest org cannot be loaded as long as this lock is held; before it come the shared org and the larger one.
    execute(
        &stack,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON ledger.checkpoint FOR EACH ROW WHEN (NEW.generation > 1 AND NEW.seq < 25) EXECUTE FUNCTION slow()",
    )
    .await;
    let mut blocker = stack.pool().acquire().await.unwrap();
    let mut held = blocker.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(77)").execute(&mut *held).await.unwrap();
    let mut killed = runledger(&stack, ["rebuild", "user_workflow_run", "--jobs", "1"]).spawn().unwrap();
    eventually("two orgs to be loaded", async || (leavings(&stack).await == (2, 2)).then_some(())).await;
    killed.kill().await.unwrap();
    held.rollback().await.unwrap();
    assert_eq!(rows(&stack, "user_workflow_run_step").await, before);
    let resumed = eventually("the lease of the killed process to end", async || {
        let resumed = run(&stack, ["rebuild", "user_workflow_run", "--json"]).await;
        resumed.success.then_some(resumed)
    })
    .await;
    let result: Value = serde_json::from_str(resumed.stdout.lines().last().unwrap()).unwrap();
    assert!(result["rebuilt"]["events"].as_i64().unwrap() <= 29, "it reads the other org only: {result}");
    assert_eq!(rows(&stack, "user_workflow_run_step").await, before);
    assert_eq!(leavings(&stack).await, (0, 0));
}

#[tokio::test]
async fn of_two_rebuilds_of_a_table_the_second_is_told_who_does_it() {
    let stack = stack().await;
    org_with_runs(&stack, 1).await;
    let mut reader = Database::new(stack.database_url(), Role::Admin).unwrap().connect().await.unwrap();
    let mut snapshot = reader.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::query("SELECT 1").execute(&mut *snapshot).await.unwrap();
    // The first waits for the reader.
    let first = runledger(&stack, ["rebuild", "user_workflow_run"]).spawn().unwrap();
    eventually("the first to have loaded", async || (leavings(&stack).await.1 == 2).then_some(())).await;
    let second = run(&stack, ["rebuild", "user_workflow_run_step", "--dry-run"]).await;
    assert!(!second.success, "{}", second.stdout);
    assert!(
        second.stderr.contains("user_workflow_run is being rebuilt already, by PostgreSQL session "),
        "{}",
        second.stderr
    );
    assert!(run(&stack, ["rebuild", "app_user", "--dry-run"]).await.success, "another table is another matter");
    snapshot.commit().await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(60), first.wait_with_output()).await.unwrap().unwrap();
    assert!(first.status.success());
}

#[tokio::test]
async fn what_was_swapped_is_reported_before_the_error_of_what_was_not() {
    let stack = stack().await;
    org_with_runs(&stack, 1).await;
    execute(&stack, "UPDATE organization SET name = 'by hand'").await;
    // Who holds a lock and reads by no snapshot keeps only its own table from being swapped.
    let mut holder = stack.pool().begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE user_workflow_run IN ACCESS SHARE MODE").execute(&mut *holder).await.unwrap();
    let ended = run(&stack, ["rebuild", "--all", "--wait", "1", "--json"]).await;
    assert!(!ended.success && ended.stderr.contains("user_workflow_run could not be locked"), "{}", ended.stderr);
    let result: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let swapped = result["rebuilt"]["projections"].as_array().unwrap();
    let names: Vec<_> = swapped.iter().map(|it| it["projection"].as_str().unwrap()).collect();
    let registry = projector::registry().unwrap();
    let before: Vec<_> = registry.iter().map(|it| it.name).take_while(|name| *name != "user_workflow_run").collect();
    assert_eq!(names, before);
    assert!(swapped[0]["locked_ms"].is_number() && swapped[0]["tables"][0]["differing"].as_i64() > Some(0), "{result}");
    let ended = run(&stack, ["rebuild", "--all", "--wait", "1"]).await;
    let said = "organization: every row is what the events make";
    assert!(!ended.success && ended.stdout.contains(said), "{}", ended.stdout);
    holder.commit().await.unwrap();
    assert!(run(&stack, ["rebuild", "--all"]).await.success);
}

#[tokio::test]
async fn nothing_is_rebuilt_from_events_that_were_changed_or_lost() {
    let stack = stack().await;
    let (org_id, _) = org_with_runs(&stack, 2).await;
    let before = rows(&stack, "user_workflow_run").await;
    let partition = format!("ledger.event_{}", org_id.uuid().simple());
    let tamper = async |statement: &str| {
        let statement = format!(
            "SET session_replication_role = replica; ALTER TABLE {partition} DISABLE TRIGGER ALL; {statement}; ALTER TABLE {partition} ENABLE ALWAYS TRIGGER refuse_change; RESET session_replication_role"
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(stack.pool()).await.unwrap();
    };
    tamper(&format!("UPDATE {partition} SET data = '{{\"channel\": \"voice\"}}' WHERE seq = 2")).await;
    let changed = rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await;
    assert!(matches!(&changed, Err(RebuildError::Changed { seq, .. }) if seq.get() == 2), "{changed:?}");
    tamper(&format!("DELETE FROM {partition} WHERE seq = 2")).await;
    let missing = rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await;
    assert!(matches!(&missing, Err(RebuildError::Missing { found: 14, .. })), "{missing:?}");
    assert_eq!(rows(&stack, "user_workflow_run").await, before);
}

#[tokio::test]
async fn rows_that_postgresql_refuses_are_parked_in_a_rebuild_as_in_the_live_fold() {
    let stack = stack().await;
    execute(&stack, "ALTER TABLE user_workflow_run ADD CONSTRAINT no_such_id CHECK (external_id <> 'refused')").await;
    let (org_id, runs) = org_with_runs(&stack, 3).await;
    publish(&stack, [event(org_id, runs[0], "run.created", json!({ "external_id": "refused" }))]).await;
    projected(&stack, org_id, 1 + 21 + 1).await;
    let flags = stack.run(org_id, runs[0]).await.unwrap().unwrap()["flags"].clone();
    assert_eq!(flags, json!(["unfoldable_event"]));
    let (_, differences) = rebuild(&stack, &[projection("user_workflow_run")], dry_run()).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    // As if nobody had noticed before: COPY is refused, and the org is folded batch by batch.
    execute(&stack, "DELETE FROM ledger.parked").await;
    let (report, differences) = rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(report.projections[0].tables[0].equal, 3);
    // Once the cause is gone, a rebuild takes the event too, and so does what comes after it.
    execute(&stack, "ALTER TABLE user_workflow_run DROP CONSTRAINT no_such_id").await;
    let (_, differences) = rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await.unwrap();
    assert_eq!(differences.len(), 1);
    publish(&stack, [event(org_id, runs[0], "run.context_added", json!({ "context": { "after": true } }))]).await;
    projected(&stack, org_id, 1 + 21 + 2).await;
    let shown = stack.run(org_id, runs[0]).await.unwrap().unwrap();
    assert_eq!((&shown["external_id"], &shown["flags"]), (&json!("refused"), &json!(["event_after_end"])));
}

#[tokio::test]
async fn an_undo_that_fails_leaves_the_replaced_tables_where_they_were() {
    let stack = stack().await;
    org_with_runs(&stack, 2).await;
    let before = rows(&stack, "user_workflow_run").await;
    execute(&stack, "UPDATE user_workflow_run SET channel = 'by hand'").await;
    rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await.unwrap();
    let mut reader = Database::new(stack.database_url(), Role::Admin).unwrap().connect().await.unwrap();
    let mut snapshot = reader.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::query("SELECT 1").execute(&mut *snapshot).await.unwrap();
    let refused = run(&stack, ["rebuild", "user_workflow_run", "--undo", "--wait", "1"]).await;
    assert!(!refused.success && refused.stderr.contains("would miss rows after a swap"), "{}", refused.stderr);
    snapshot.commit().await.unwrap();
    assert_eq!(leavings(&stack).await.0, 0);
    // What the old tables hold is not taken for what the events make.
    let (report, differences) = rebuild(&stack, &[projection("user_workflow_run")], dry_run()).await.unwrap();
    assert!(differences.is_empty() && report.events > 0, "{differences:?}");
    assert_eq!(rows(&stack, "user_workflow_run").await, before);
    assert!(run(&stack, ["rebuild", "user_workflow_run", "--undo"]).await.success);
    assert_ne!(rows(&stack, "user_workflow_run").await, before);
}

#[tokio::test]
async fn the_projectors_role_can_move_and_drop_read_models_only() {
    let stack = stack().await;
    org_with_runs(&stack, 1).await;
    let mut projector = Database::new(stack.database_url(), Role::Projector).unwrap().connect().await.unwrap();
    for (statement, refusal) in [
        ("SELECT ledger.start_generation('channel_type_lu', 1, '', false, false)", "no projection"),
        ("SELECT ledger.finish_table('_sqlx_migrations')", "does not exist"),
        ("SELECT ledger.drop_generation('user_workflow_run', 'public')", "not to be dropped"),
        ("SELECT ledger.move_generation('user_workflow_run', 'public', 'replaced')", "permission denied"),
        ("SELECT ledger.swap_generation('user_workflow_run', 1)", "no rows"),
        ("INSERT INTO ledger.read_model VALUES ('_sqlx_migrations', 'x')", "permission denied"),
        ("UPDATE ledger.generation SET version = 9", "permission denied"),
        ("DROP TABLE public.user_workflow_run", "must be owner"),
    ] {
        let refused = sqlx::query(statement).execute(&mut projector).await.unwrap_err().to_string();
        assert!(refused.contains(refusal), "{statement}: {refused}");
    }
    sqlx::query("SELECT ledger.begin_projection('stranger', 1, '')").execute(&mut projector).await.unwrap();
    let known: Vec<(String, String)> =
        sqlx::query_as("SELECT projection, table_name FROM ledger.read_model ORDER BY 1, 2")
            .fetch_all(stack.pool())
            .await
            .unwrap();
    let mut registered: Vec<_> = projector::registry()
        .unwrap()
        .iter()
        .flat_map(|it| it.tables.iter().map(|table| (it.name.to_owned(), (*table).to_owned())))
        .collect();
    registered.sort();
    assert_eq!(known, registered, "the migrations and the registry name the same read models");
    let strangers: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.generation WHERE projection = 'stranger'")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(strangers, 0);
}

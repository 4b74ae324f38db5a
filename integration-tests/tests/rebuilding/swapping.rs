//! The swap, under readers and writers, and the way back.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use events::id::{OrgId, RunId};
use ledger::connection::{Database, Role};
use projector::rebuild::{Order, Phase, Progress, Rebuild, RebuildError};
use serde_json::json;
use sqlx::{Connection, Row};
use stack::Stack;

use super::{database, dry_run, event, execute, org_with_runs, projected, projection, publish, rebuild, rows};
use crate::harness::{eventually, run, stack};

/// What PostgreSQL knows of the read models, as text, without ids that a new table has anew.
async fn catalogue(stack: &Stack) -> Vec<String> {
    sqlx::query_scalar(include_str!("catalogue.sql")).fetch_all(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn rebuilt_tables_are_in_everything_like_those_that_the_migrations_made() {
    let stack = stack().await;
    org_with_runs(&stack, 3).await;
    // What a deployment may add of its own.
    execute(
        &stack,
        "CREATE INDEX by_channel ON user_workflow_run (org_id, channel) INCLUDE (status) WHERE channel IS NOT NULL;
         ALTER TABLE user_workflow_run ADD CONSTRAINT known_status CHECK (status <> '');
         ALTER TABLE user_workflow_run SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
         GRANT SELECT (run_id, status) ON user_workflow_run TO PUBLIC;
         CREATE VIEW failed_run WITH (security_barrier, security_invoker) AS SELECT r.*, 1 AS n FROM user_workflow_run r WHERE status = 'failed';
         CREATE VIEW failed_step AS SELECT s.org_id FROM run_step s JOIN failed_run USING (org_id, run_id);
         GRANT SELECT ON failed_run TO runledger_reader;",
    )
    .await;
    let before = catalogue(&stack).await;
    assert!(before.len() > 100, "{before:#?}");
    rebuild(&stack, projector::registry().unwrap(), Order::default()).await.unwrap();
    let after = catalogue(&stack).await;
    assert_eq!(before, after);
    let shown: i64 = sqlx::query_scalar("SELECT count(*) FROM failed_step").fetch_one(stack.pool()).await.unwrap();
    assert_eq!(shown, 6);
}

/// Publishes ever greater numbers into the contexts of these runs until told to stop; each projected
/// number can only grow.
async fn keep_counting(stack: &Stack, org_id: OrgId, runs: &[RunId], stop: &AtomicBool) -> i64 {
    for number in 1.. {
        let count = |&run_id: &RunId| event(org_id, run_id, "run.context_added", json!({ "context": { "n": number } }));
        publish(stack, runs.iter().map(count)).await;
        if stop.load(Ordering::Relaxed) {
            return number;
        }
    }
    unreachable!()
}

/// Reads as a tenant until told to stop: never an error, a missing row or an older number than before.
async fn keep_reading(url: String, org_id: OrgId, runs: usize, stop: Arc<AtomicBool>, reads: Arc<AtomicU64>) {
    let database = Database::new(&url, Role::Reader).unwrap().of_org(org_id);
    let mut conn = database.connect().await.unwrap();
    let mut seen: HashMap<uuid::Uuid, i64> = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        let rows = sqlx::query(
            "SELECT run_id, coalesce((context ->> 'n')::bigint, 0) AS n, (SELECT count(*) FROM run_step s WHERE s.run_id = r.run_id) AS steps
             FROM user_workflow_run r",
        )
        .fetch_all(&mut conn)
        .await
        .expect("a read during a rebuild");
        assert_eq!(rows.len(), runs, "rows are missing");
        for row in rows {
            let (run_id, n): (uuid::Uuid, i64) = (row.get("run_id"), row.get("n"));
            assert_eq!(row.get::<i64, _>("steps"), 2, "steps are missing");
            let last = seen.insert(run_id, n).unwrap_or(0);
            assert!(n >= last, "run {run_id} went back from {last} to {n}");
        }
        reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads as an auditor with one snapshot for several statements: no row may be older than the seq that the
/// snapshot says is projected, whatever was exchanged between the statements.
async fn keep_auditing(url: String, org_id: OrgId, stop: Arc<AtomicBool>) {
    let mut conn = Database::new(&url, Role::Admin).unwrap().connect().await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let mut snapshot = conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
        let projected: i64 = sqlx::query_scalar(
            "SELECT seq FROM ledger.checkpoint JOIN ledger.generation USING (projection, generation)
             WHERE projection = 'user_workflow_run' AND place = 'public' AND org_id = $1",
        )
        .bind(org_id)
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
        sqlx::query("SELECT pg_sleep(0.01)").execute(&mut *snapshot).await.unwrap();
        let wrong: Vec<(uuid::Uuid, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT run_id, (context ->> 'n')::bigint, by_events.n FROM user_workflow_run run
             LEFT JOIN (SELECT subject_id, max((data #>> '{context,n}')::bigint) AS n FROM ledger.event
                        WHERE org_id = $1 AND event_type = 'run.context_added' AND seq <= $2 GROUP BY subject_id) AS by_events
                 ON subject_id = run_id
             WHERE org_id = $1 AND coalesce((context ->> 'n')::bigint, 0) < by_events.n",
        )
        .bind(org_id)
        .bind(projected)
        .fetch_all(&mut *snapshot)
        .await
        .unwrap();
        assert!(wrong.is_empty(), "at seq {projected}: run, row, events: {wrong:?}");
        snapshot.commit().await.unwrap();
    }
}

/// On several threads: readers, auditor and rebuild would otherwise hold each other's connections up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_projection_go_on_during_rebuilds_without_error_gap_or_stale_row() {
    let stack = stack().await;
    let (org_id, runs) = org_with_runs(&stack, 20).await;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let reading = keep_reading(stack.database_url().to_owned(), org_id, 20, stop.clone(), reads.clone());
            tokio::spawn(reading)
        })
        .collect();
    let auditor = tokio::spawn(keep_auditing(stack.database_url().to_owned(), org_id, stop.clone()));
    let rebuilding = async {
        let mut locked = Vec::new();
        for round in 0..4 {
            let before = reads.load(Ordering::Relaxed);
            let (report, differences) =
                rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await.unwrap();
            assert!(differences.is_empty(), "round {round}: {differences:?}");
            locked.push(report.projections[0].locked_ms.unwrap());
            eventually("more reads", async || (reads.load(Ordering::Relaxed) > before + 5).then_some(())).await;
        }
        stop.store(true, Ordering::Relaxed);
        locked
    };
    let (last, locked) = tokio::join!(keep_counting(&stack, org_id, &runs, &stop), rebuilding);
    for reader in readers {
        reader.await.unwrap();
    }
    auditor.await.unwrap();
    assert_eq!(locked.len(), 4);
    projected(&stack, org_id, 1 + 140 + 20 * last).await;
    let (_, differences) = rebuild(&stack, &[projection("user_workflow_run")], dry_run()).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[tokio::test]
async fn an_undone_rebuild_serves_the_old_rows_caught_up_and_can_be_done_again() {
    let stack = stack().await;
    let (org_id, runs) = org_with_runs(&stack, 3).await;
    execute(&stack, "UPDATE user_workflow_run SET channel = 'by hand'").await;
    rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await.unwrap();
    publish(&stack, [event(org_id, runs[0], "run.context_added", json!({ "context": { "late": true } }))]).await;
    projected(&stack, org_id, 1 + 21 + 1).await;
    let undone = run(&stack, ["rebuild", "user_workflow_run", "--undo"]).await;
    assert!(undone.success && undone.stdout.contains("serves again"), "{}{}", undone.stdout, undone.stderr);
    let by_hand: i64 = sqlx::query_scalar("SELECT count(*) FROM user_workflow_run WHERE channel = 'by hand'")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    // The late event's run was folded again.
    assert_eq!(by_hand, 2);
    let shown = stack.run(org_id, runs[0]).await.unwrap().unwrap();
    assert_eq!(shown["context"]["late"], true);
    let again = run(&stack, ["rebuild", "user_workflow_run", "--undo"]).await;
    assert!(again.success, "{}", again.stderr);
    let (_, differences) = rebuild(&stack, &[projection("user_workflow_run")], dry_run()).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    let dropped = run(&stack, ["rebuild", "user_workflow_run", "--drop-old"]).await;
    assert!(dropped.success, "{}", dropped.stderr);
    let nothing = run(&stack, ["rebuild", "user_workflow_run", "--undo"]).await;
    assert!(!nothing.success && nothing.stderr.contains("no replaced tables"), "{}", nothing.stderr);
}

#[tokio::test]
async fn a_swap_waits_for_transactions_that_would_miss_rows() {
    let stack = stack().await;
    org_with_runs(&stack, 2).await;
    let mut reader = Database::new(stack.database_url(), Role::Admin).unwrap().connect().await.unwrap();
    let mut snapshot = reader.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::query("SELECT 1").execute(&mut *snapshot).await.unwrap();
    let progress = Progress::default();
    let work = Rebuild::of(vec![projection("user_workflow_run")], database(&stack));
    let rebuilding = {
        let progress = progress.clone();
        tokio::spawn(async move { work.run(&Order::default(), &progress, |_| {}).await })
    };
    eventually("the rebuild to wait", async || (progress.snapshot().phase == Phase::WaitForReaders).then_some(()))
        .await;
    let seen: i64 =
        sqlx::query_scalar("SELECT count(*) FROM user_workflow_run").fetch_one(&mut *snapshot).await.unwrap();
    assert_eq!(seen, 2);
    assert!(!rebuilding.is_finished());
    snapshot.commit().await.unwrap();
    rebuilding.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_swap_would_leave_behind_is_refused_before_anything_is_read() {
    let stack = stack().await;
    org_with_runs(&stack, 1).await;
    execute(&stack, "CREATE MATERIALIZED VIEW daily AS SELECT status, count(*) FROM user_workflow_run GROUP BY status")
        .await;
    let before = rows(&stack, "user_workflow_run").await;
    let refused = rebuild(&stack, &[projection("user_workflow_run")], Order::default()).await;
    assert!(matches!(refused, Err(RebuildError::NotRebuildable { .. })), "{refused:?}");
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("materialized view public.daily depends on public.user_workflow_run"), "{error}");
    assert!(error.contains("Drop it"), "{error}");
    assert_eq!(rows(&stack, "user_workflow_run").await, before);
}

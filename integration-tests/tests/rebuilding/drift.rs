//! The comparison of what serves with what the events make.

use projector::rebuild::{Kind, Order};
use serde_json::json;

use super::{dry_run, execute, org_with_runs, projection, rebuild, rows};
use crate::harness::{append, run, shared_events, stack};

const TABLES: [&str; 4] = ["organization", "app_user", "user_workflow_run", "user_workflow_run_step"];

#[tokio::test]
async fn a_dry_run_finds_nothing_where_nothing_was_touched_and_changes_nothing() {
    let stack = stack().await;
    org_with_runs(&stack, 30).await;
    let all = projector::registry().unwrap();
    let (report, differences) = rebuild(&stack, all, dry_run()).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    let tables = report.projections.iter().flat_map(|it| &it.tables).filter(|it| TABLES.contains(&it.table));
    let equal: Vec<_> = tables.map(|it| (it.table, it.equal)).collect();
    assert_eq!(
        equal,
        [("organization", 2), ("app_user", 0), ("user_workflow_run", 30), ("user_workflow_run_step", 60)]
    );
    assert_eq!(report.events as i64, shared_events() + 1 + 7 * 30, "of the shared org too");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname IN ('rebuild', 'replaced')")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn rows_that_were_changed_deleted_and_added_by_hand_are_each_reported_exactly_and_mended() {
    let stack = stack().await;
    let (org_id, runs) = org_with_runs(&stack, 5).await;
    let before = [rows(&stack, TABLES[2]).await, rows(&stack, TABLES[3]).await];
    // 1.5 and 1.50 are equal to PostgreSQL and not to an auditor.
    sqlx::query("UPDATE user_workflow_run SET status = 'running', context = jsonb_set(context, '{amount}', '1.50') WHERE run_id = $1")
        .bind(runs[0])
        .execute(stack.pool())
        .await
        .unwrap();
    sqlx::query("DELETE FROM user_workflow_run WHERE run_id = $1").bind(runs[1]).execute(stack.pool()).await.unwrap();
    execute(
        &stack,
        "INSERT INTO user_workflow_run_step (org_id, run_id, step_id, status, created_at, updated_at)
         SELECT org_id, run_id, '00000000-0000-4000-8000-00000000000a', 'running', now(), now() FROM user_workflow_run_step LIMIT 1",
    )
    .await;
    let expect = |differences: &[projector::rebuild::Difference]| {
        let mut found: Vec<_> = differences
            .iter()
            .map(|it| {
                let id = if it.table == TABLES[2] { it.key["run_id"].get() } else { it.key["step_id"].get() };
                (it.table, it.kind as u8, id.trim_matches('"').to_owned())
            })
            .collect();
        found.sort();
        let mut expected = vec![
            (TABLES[2], Kind::Differing as u8, runs[0].to_string()),
            (TABLES[2], Kind::Missing as u8, runs[1].to_string()),
            (TABLES[3], Kind::Extra as u8, "00000000-0000-4000-8000-00000000000a".to_owned()),
        ];
        expected.sort();
        assert_eq!(found, expected);
        let changed = differences.iter().find(|it| it.kind == Kind::Differing).unwrap();
        let columns: Vec<_> =
            changed.columns.iter().map(|it| (it.column.as_str(), it.serving.get(), it.rebuilt.get())).collect();
        assert_eq!(
            columns,
            [
                ("status", "\"running\"", "\"failed\""),
                ("context", r#"{"payer": "Zoë", "amount": 1.50}"#, r#"{"payer": "Zoë", "amount": 1.5}"#),
            ]
        );
        assert_eq!(changed.key["org_id"].get(), format!("\"{org_id}\""));
    };
    let this = [projection("user_workflow_run")];
    let (report, differences) = rebuild(&stack, &this, dry_run()).await.unwrap();
    expect(&differences);
    let counts: Vec<_> =
        report.projections[0].tables.iter().map(|it| (it.equal, it.differing, it.missing, it.extra)).collect();
    assert_eq!(counts, [(3, 1, 1, 0), (10, 0, 0, 1)]);
    let (_, differences) = rebuild(&stack, &this, Order::default()).await.unwrap();
    expect(&differences);
    assert_eq!([rows(&stack, TABLES[2]).await, rows(&stack, TABLES[3]).await], before);
}

#[tokio::test]
async fn one_orgs_rows_are_mended_in_place_and_no_others() {
    let stack = stack().await;
    let (org_id, runs) = org_with_runs(&stack, 3).await;
    let (_, of_another_org) = org_with_runs(&stack, 2).await;
    let before = rows(&stack, "user_workflow_run").await;
    execute(&stack, "DELETE FROM user_workflow_run_step WHERE step_number = 1").await;
    sqlx::query("UPDATE user_workflow_run SET channel = 'fax' WHERE run_id = ANY($1)")
        .bind([runs[0], of_another_org[0]])
        .execute(stack.pool())
        .await
        .unwrap();
    let order = Order { only_org: Some(org_id), ..Order::default() };
    let (report, differences) = rebuild(&stack, &[projection("user_workflow_run")], order).await.unwrap();
    assert_eq!((report.projections[0].paused_ms, differences.len()), (None, 1 + 3));
    let (_, left) = rebuild(&stack, &[projection("user_workflow_run")], dry_run()).await.unwrap();
    assert_eq!(left.len(), 1 + 2, "{left:?}");
    let order = Order { only_org: left[0].key["org_id"].get().trim_matches('"').parse().ok(), ..Order::default() };
    rebuild(&stack, &[projection("user_workflow_run")], order).await.unwrap();
    assert_eq!(rows(&stack, "user_workflow_run").await, before);
}

#[tokio::test]
async fn events_that_no_projector_has_folded_yet_are_no_drift() {
    let mut stack = stack().await;
    let (org_id, runs) = org_with_runs(&stack, 2).await;
    stack.stop_services().await;
    for run_id in runs {
        append(&stack, &super::event(org_id, run_id, "run.completed", json!({}))).await;
    }
    let (_, differences) = rebuild(&stack, projector::registry().unwrap(), dry_run()).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[tokio::test]
async fn the_command_reports_drift_with_its_exit_code_and_lists_ids_columns_and_both_values() {
    let stack = stack().await;
    let (_, runs) = org_with_runs(&stack, 2).await;
    assert!(run(&stack, ["rebuild", "--all", "--dry-run"]).await.success);
    sqlx::query("UPDATE user_workflow_run SET channel = E'\\x1b[31mfax' WHERE run_id = $1")
        .bind(runs[0])
        .execute(stack.pool())
        .await
        .unwrap();
    let drift = run(&stack, ["rebuild", "user_workflow_run_step", "--dry-run"]).await;
    assert!(!drift.success && drift.stderr.is_empty(), "{}", drift.stderr);
    assert!(drift.stdout.contains(&format!("run_id {}", runs[0])), "{}", drift.stdout);
    assert!(drift.stdout.contains(r"channel: \u{1b}[31mfax, by the events web"), "{}", drift.stdout);
    let json = run(&stack, ["rebuild", "--all", "--dry-run", "--json"]).await;
    let lines: Vec<serde_json::Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["progress"]["phase"].is_string()));
    assert!(lines.iter().any(|line| line["difference"]["columns"][0]["column"] == "channel"));
    let rebuilt = lines.last().unwrap()["rebuilt"]["projections"].as_array().unwrap();
    let runs = rebuilt.iter().find(|it| it["projection"] == "user_workflow_run").unwrap();
    assert_eq!(runs["tables"][0]["differing"], 1);
    let mended = run(&stack, ["rebuild", "--all"]).await;
    assert!(mended.success && mended.stdout.contains("locked for"), "{}{}", mended.stdout, mended.stderr);
    assert!(run(&stack, ["rebuild", "--all", "--dry-run"]).await.success);
    let plan = run(&stack, ["rebuild", "--all", "--plan"]).await;
    let reads = format!("reads {} events of 2 orgs", 15 + shared_events());
    assert!(plan.stdout.contains(&reads) && plan.stdout.contains("assumed"), "{}", plan.stdout);
    let unknown = run(&stack, ["rebuild", "user_workflow_runs"]).await;
    assert!(!unknown.success && unknown.stderr.contains("there are organization, app_user,"), "{}", unknown.stderr);
}

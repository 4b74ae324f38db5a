//! `runledger migrate` and `runledger migrate --check`.

use serde_json::json;
use stack::Stack;
use uuid::Uuid;

use super::Ended;
use crate::harness::{idle_stack, runledger};

/// Another database of the stack's server, with nothing in it.
async fn empty_database(stack: &Stack, options: &str) -> String {
    let database = format!("empty_{}", Uuid::new_v4().simple());
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database} {options}"));
    sqlx::raw_sql(create).execute(stack.pool()).await.unwrap();
    let (server, rest) = stack.database_url().rsplit_once('/').unwrap();
    let query = rest.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
    format!("{server}/{database}{query}")
}

async fn migrate<const N: usize>(stack: &Stack, url: &str, arguments: [&str; N]) -> Ended {
    Ended::of(runledger(stack, ["migrate", "--database-url", url]).args(arguments)).await
}

async fn sql(url: &str, sql: &'static str) -> sqlx::Result<sqlx::postgres::PgQueryResult> {
    let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(url).await?;
    sqlx::raw_sql(sql).execute(&mut conn).await
}

#[tokio::test]
async fn a_check_says_what_is_pending_and_changes_nothing_and_migrating_twice_is_harmless() {
    let stack = idle_stack().await;
    let url = empty_database(&stack, "").await;
    let check = migrate(&stack, &url, ["--check"]).await;
    assert_eq!(check.code, Some(1), "{}", check.stderr);
    assert!(
        check.stdout.lines().count() > 1 && check.stdout.lines().all(|line| line.ends_with("pending")),
        "{}",
        check.stdout
    );
    assert!(sql(&url, "SELECT FROM _sqlx_migrations").await.is_err(), "the check left something behind");

    let migrated = migrate(&stack, &url, []).await;
    assert_eq!((migrated.code, migrated.stdout), (Some(0), check.stdout.replace("pending", "applied")));
    for arguments in [&["--check"][..], &[]] {
        let again = Ended::of(runledger(&stack, ["migrate", "--database-url", &url]).args(arguments)).await;
        assert_eq!((again.code, again.stdout.as_str()), (Some(0), "the schema is up to date\n"), "{}", again.stderr);
    }
}

#[tokio::test]
async fn a_migration_that_is_not_the_one_applied_is_named_and_not_passed_over() {
    let stack = idle_stack().await;
    let url = empty_database(&stack, "").await;
    assert_eq!(migrate(&stack, &url, []).await.code, Some(0));
    sql(&url, r"UPDATE _sqlx_migrations SET checksum = '\x00' WHERE version = 10").await.unwrap();
    let check = migrate(&stack, &url, ["--check", "--json"]).await;
    assert_eq!(check.code, Some(1));
    let changed: serde_json::Value = serde_json::from_str(check.stdout.trim()).unwrap();
    assert_eq!(changed, json!({ "version": 10, "description": "user workflow run", "state": "changed" }));
    let migrated = migrate(&stack, &url, []).await;
    assert!(migrated.complaint().contains("10"), "{}", migrated.stderr);
}

#[tokio::test]
async fn a_migration_of_a_newer_program_is_told_apart() {
    let stack = idle_stack().await;
    let url = empty_database(&stack, "").await;
    assert_eq!(migrate(&stack, &url, []).await.code, Some(0));
    sql(&url, "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 11").await.unwrap();
    let check = migrate(&stack, &url, ["--check"]).await;
    assert_eq!(check.code, Some(1));
    let lines: Vec<_> = check.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("0011") && lines[0].ends_with("pending"), "{}", lines[0]);
    assert!(lines[1].starts_with("9999") && lines[1].ends_with("unknown"), "{}", lines[1]);
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_character_is_refused() {
    let stack = idle_stack().await;
    let url = empty_database(&stack, "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0").await;
    let migrated = migrate(&stack, &url, []).await;
    assert!(migrated.complaint().contains("SQL_ASCII") && migrated.stderr.contains("UTF8"), "{}", migrated.stderr);
}

#[tokio::test]
async fn tables_that_stand_where_views_are_to_be_stop_the_migration_until_they_are_moved() {
    let stack = idle_stack().await;
    let url = empty_database(&stack, "").await;
    sql(&url, "CREATE TABLE workflow_trace (trace_id bigint PRIMARY KEY); CREATE TABLE rcm_user (id int); INSERT INTO rcm_user VALUES (7)")
        .await
        .unwrap();
    for _ in 0..2 {
        let migrated = migrate(&stack, &url, []).await;
        let complaint = migrated.complaint();
        for expected in [
            "CREATE SCHEMA IF NOT EXISTS legacy; ",
            "ALTER TABLE public.workflow_trace SET SCHEMA legacy",
            "ALTER TABLE public.rcm_user SET SCHEMA legacy",
            "run `runledger migrate` again",
        ] {
            assert!(complaint.contains(expected), "{complaint}");
        }
        assert!(!complaint.contains("workflow_steps"), "{complaint}");
        assert!(sql(&url, "SELECT FROM workflow_steps").await.is_err(), "a view was left behind");
        let check = migrate(&stack, &url, ["--check"]).await;
        assert!(check.stdout.starts_with("0031 compatibility – pending\n"), "{}", check.stdout);
    }
    sql(&url, "CREATE SCHEMA IF NOT EXISTS legacy; ALTER TABLE public.workflow_trace SET SCHEMA legacy; ALTER TABLE public.rcm_user SET SCHEMA legacy")
        .await
        .unwrap();
    assert_eq!(migrate(&stack, &url, []).await.code, Some(0));
    let check = migrate(&stack, &url, ["--check"]).await;
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), "the schema is up to date\n"));
    let kept = sql(&url, "SELECT FROM workflow_trace; SELECT FROM legacy.rcm_user").await.unwrap();
    assert_eq!(kept.rows_affected(), 1);
}

#[tokio::test]
async fn the_old_table_of_requirements_stops_the_migration_until_it_is_moved() {
    let stack = idle_stack().await;
    let url = empty_database(&stack, "").await;
    sql(&url, "CREATE TABLE field_requirement (id int)").await.unwrap();
    let complaint = migrate(&stack, &url, []).await.complaint().to_owned();
    let statement = "CREATE SCHEMA IF NOT EXISTS legacy; ALTER TABLE public.field_requirement SET SCHEMA legacy";
    assert!(complaint.contains(statement) && complaint.contains("run `runledger migrate` again"), "{complaint}");
    sql(&url, statement).await.unwrap();
    assert_eq!(migrate(&stack, &url, []).await.code, Some(0));
}

#[tokio::test]
async fn the_stream_is_made_where_it_is_missing() {
    let stack = idle_stack().await;
    let jetstream = async_nats::jetstream::new(stack.client().clone());
    jetstream.delete_stream("RUNLEDGER").await.unwrap();
    assert_eq!(migrate(&stack, stack.database_url(), []).await.code, Some(0));
    jetstream.get_stream("RUNLEDGER").await.unwrap();
}

#[tokio::test]
async fn an_index_that_partitions_lack_is_built_one_by_one_though_a_build_was_interrupted() {
    let stack = idle_stack().await;
    let mut orgs = Vec::new();
    for name in ["one", "other"] {
        let org_id = stack.register_org(name).await.unwrap();
        sqlx::query("SELECT ledger.make_partition($1)").bind(org_id.uuid()).execute(stack.pool()).await.unwrap();
        orgs.push(org_id.uuid().simple().to_string());
    }
    // As the migration finds a ledger in use, and one build that was interrupted.
    let begun = format!(
        "DROP INDEX ledger.event_import, ledger.event_correction; {};
         CREATE INDEX event_{org}_event_import ON ledger.event_{org} (seq)",
        include_str!("../../../migrations/0016_corrections.sql"),
        org = orgs[0],
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(begun)).execute(stack.pool()).await.unwrap();
    assert_eq!(migrate(&stack, stack.database_url(), []).await.code, Some(0));
    let parts: Vec<(String, bool, i64)> = sqlx::query_as(
        "SELECT index.relname::text, indisvalid, (SELECT count(*) FROM pg_inherits WHERE inhparent = index.oid)
         FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
         WHERE index.relname IN ('event_import', 'event_correction') ORDER BY 1",
    )
    .fetch_all(stack.pool())
    .await
    .unwrap();
    assert_eq!(parts, [("event_correction".to_owned(), true, 2), ("event_import".to_owned(), true, 2)]);
    let part: String =
        sqlx::query_scalar("SELECT pg_get_indexdef(('ledger.event_' || $1 || '_event_import')::regclass)")
            .bind(&orgs[0])
            .fetch_one(stack.pool())
            .await
            .unwrap();
    assert!(part.contains("importid"), "{part}");
}

#[tokio::test]
async fn a_check_names_each_index_that_a_partition_lacks() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("one").await.unwrap();
    sqlx::query("SELECT ledger.make_partition($1)").bind(org_id.uuid()).execute(stack.pool()).await.unwrap();
    let anew = concat!(
        "DROP INDEX ledger.event_import, ledger.event_correction; ",
        include_str!("../../../migrations/0016_corrections.sql")
    );
    sqlx::raw_sql(anew).execute(stack.pool()).await.unwrap();
    let partition = format!("event_{}", org_id.uuid().simple());
    let check = migrate(&stack, stack.database_url(), ["--check"]).await;
    let lines = ["event_correction", "event_import"].map(|index| format!("index {index} – missing on {partition}\n"));
    assert_eq!((check.code, check.stdout), (Some(1), lines.concat()));
    let check = migrate(&stack, stack.database_url(), ["--check", "--json"]).await;
    let first: serde_json::Value = serde_json::from_str(check.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first, json!({ "index": "event_correction", "partition": partition, "state": "missing" }));
    assert_eq!(check.code, Some(1));
    assert_eq!(migrate(&stack, stack.database_url(), []).await.code, Some(0));
    let check = migrate(&stack, stack.database_url(), ["--check"]).await;
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), "the schema is up to date\n"));
}

//! How PostgreSQL answers the questions of `projector::query`, above all to a tenant under row-level security:
//! the plans are kept beside this file, and a test fails when one changes. `UPDATE_PLANS=1` writes them anew.

use std::{fmt::Write, fs, path::Path};

use events::id::OrgId;
use ledger::connection::{Database, Role};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use stack::Stack;

use crate::harness::idle_stack;

mod questions;

/// What plans depend on, set to what a small server has, so that they are the same on every machine.
const SETTINGS: &str = "SET seq_page_cost = 1; SET random_page_cost = 4; SET cpu_tuple_cost = 0.01; SET cpu_index_tuple_cost = 0.005;
    SET cpu_operator_cost = 0.0025; SET effective_cache_size = '4GB'; SET work_mem = '4MB'; SET max_parallel_workers_per_gather = 0; SET jit = off";

/// The org that the plans are made for: one of three with 8,000 runs each, among five hundred.
const ORG: &str = "00000001-0000-4000-8000-00000000aaaa";

/// A database with a believable number of runs, and statistics that are the same each time.
async fn loaded() -> Stack {
    let stack = idle_stack().await;
    sqlx::raw_sql(include_str!("plans/load.sql")).execute(stack.pool()).await.unwrap();
    stack
}

async fn connect(stack: &Stack, role: Role) -> PgConnection {
    let database = Database::new(stack.database_url(), role).unwrap();
    let org_id: OrgId = ORG.parse().unwrap();
    let mut conn = if role == Role::Reader { database.of_org(org_id) } else { database }.connect().await.unwrap();
    sqlx::raw_sql(SETTINGS).execute(&mut conn).await.unwrap();
    conn
}

#[tokio::test]
async fn every_question_is_answered_by_its_golden_plan() {
    let stack = loaded().await;
    let (mut reader, mut admin) = (connect(&stack, Role::Reader).await, connect(&stack, Role::Admin).await);
    let mut faults = Vec::new();
    for question in questions::all() {
        let conn = if question.is_of_tenant { &mut reader } else { &mut admin };
        let plan = question.plan(conn).await;
        if plan.contains("Seq Scan on user_workflow_run") {
            faults.push(format!("{}: reads a whole table\n{plan}", question.name));
        }
        if let Some(fault) = fault(question.name, &plan) {
            faults.push(fault);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// How a plan differs from the one that is kept.
fn fault(name: &str, plan: &str) -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/plans/golden/{name}.txt"));
    if std::env::var_os("UPDATE_PLANS").is_some() {
        fs::write(&file, plan).unwrap();
        return None;
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    let advice = "look whether it is as good, then write it with UPDATE_PLANS=1";
    (golden != plan).then(|| format!("{name}: the plan has changed; {advice}\n--- was\n{golden}\n--- is\n{plan}"))
}

#[tokio::test]
async fn a_golden_plan_is_found_to_have_changed_when_its_index_is_gone() {
    let stack = loaded().await;
    sqlx::raw_sql("DROP INDEX user_workflow_run_channel").execute(stack.pool()).await.unwrap();
    let mut reader = connect(&stack, Role::Reader).await;
    let question = questions::all().into_iter().find(|question| question.name == "runs_of_channel").unwrap();
    let plan = question.plan(&mut reader).await;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/golden/runs_of_channel.txt");
    assert_ne!(fs::read_to_string(golden).unwrap(), plan);
}

/// How often the indexes were looked into, and the table read, by this connection, which has done nothing else.
async fn scans(conn: &mut PgConnection) -> Vec<(String, i64)> {
    let rows = sqlx::query(
        "SELECT c.relname::text AS name, pg_stat_get_xact_numscans(c.oid) AS scans FROM pg_class c
         WHERE c.oid = 'user_workflow_run'::regclass OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'user_workflow_run'::regclass)
         ORDER BY 1",
    );
    let rows = rows.fetch_all(conn).await.unwrap();
    rows.iter().map(|row| (row.get("name"), row.get("scans"))).filter(|(_, scans)| *scans > 0).collect()
}

#[tokio::test]
async fn what_row_level_security_keeps_off_an_index_is_looked_up_in_it_all_the_same() {
    let stack = loaded().await;
    for (wanted, flag, index, expected) in [
        (Some(r#"{"member_id": "M300"}"#), None, "user_workflow_run_context", Some(1)),
        (Some(r#"{"batch": "batch-3"}"#), None, "user_workflow_run_context", Some(400)),
        // Frequent among the newest, which are looked at first.
        (Some(r#"{"payer": "payer-0"}"#), None, "user_workflow_run_created", None),
        (None, Some("implausible_time"), "user_workflow_run_flag", Some(8)),
        (None, Some("events_missing"), "user_workflow_run_flag", None),
    ] {
        let mut reader = connect(&stack, Role::Reader).await;
        let mut tx = reader.begin().await.unwrap();
        let found: Option<Vec<uuid::Uuid>> = sqlx::query_scalar("SELECT ledger.few_runs($1::jsonb, $2, 1000)")
            .bind(wanted)
            .bind(flag)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(found.map(|found| found.len()), expected, "{wanted:?} {flag:?}");
        let scanned = scans(&mut tx).await;
        assert!(scanned.iter().any(|(name, _)| name.starts_with(index)), "{wanted:?} {flag:?}: {scanned:?}");
        assert!(!scanned.iter().any(|(name, _)| name == "user_workflow_run"), "{wanted:?} {flag:?} reads the table");
        tx.rollback().await.unwrap();
    }
}

/// A question: its name, who asks, and how.
struct Question {
    name: &'static str,
    is_of_tenant: bool,
    sql: &'static str,
    /// The parameters as SQL, in their order.
    parameters: Vec<String>,
}

impl Question {
    async fn plan(&self, conn: &mut PgConnection) -> String {
        let parameters = self.parameters.join(", ");
        let statements = format!("DEALLOCATE ALL; PREPARE question AS {}", self.sql);
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *conn).await.unwrap();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE question({parameters})");
        let lines = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(conn).await.unwrap();
        lines.iter().fold(String::new(), |mut plan, line| {
            writeln!(plan, "{}", line.get::<String, _>(0)).unwrap();
            plan
        })
    }
}

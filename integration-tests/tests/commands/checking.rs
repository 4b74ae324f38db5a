//! `runledger migrate --check`: the whole schema held against what the migrations make.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use events::id::OrgId;
use ledger::{
    connection::{Database, Role},
    migrate::{Difference, describe, differences},
};
use projector::rebuild::{Order, Progress, Rebuild};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use stack::Stack;

use super::Ended;
use crate::harness::{idle_stack, run, runledger, size_reaches, stack};

async fn execute(stack: &Stack, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(stack.pool()).await.unwrap();
}

/// An org with a partition, whose name is given too.
async fn org_with_partition(stack: &Stack) -> (OrgId, String) {
    let org_id = OrgId::generate();
    sqlx::query("SELECT ledger.make_partition($1)").bind(org_id.uuid()).execute(stack.pool()).await.unwrap();
    (org_id, format!("ledger.event_{}", org_id.uuid().simple()))
}

/// Makes all read models anew and lets them serve.
async fn rebuild(stack: &Stack) {
    let database = Database::new(stack.database_url(), Role::Projector).unwrap();
    let rebuild = Rebuild::of(projector::registry().unwrap().to_vec(), database);
    rebuild.run(&Order::default(), &Progress::default(), |difference| panic!("{difference:?}")).await.unwrap();
}

fn lines(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(|it| format!("{} {} {}", it.state(), it.kind, it.object)).collect()
}

/// What differs after this was done, which is then taken back.
async fn told(stack: &Stack, damage: &str) -> Vec<String> {
    let mut tx = stack.pool().begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(damage)).execute(&mut *tx).await.unwrap_or_else(|error| panic!("{damage}: {error}"));
    let told = lines(&differences(&mut tx).await.unwrap());
    tx.rollback().await.unwrap();
    told
}

#[tokio::test]
async fn the_description_is_of_what_the_migrations_make() {
    let stack = idle_stack().await;
    let described = describe(&mut stack.pool().acquire().await.unwrap()).await.unwrap();
    assert!(described.lines().count() > 500, "{described}");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ledger.event'::regclass")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(left, 0, "describing left a partition behind");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/src/migrate/schema.txt");
    if std::env::var_os("UPDATE_DESCRIPTION").is_some() {
        fs::write(&file, &described).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap();
    let (is, was): (Vec<_>, Vec<_>) = (described.lines().collect(), kept.lines().collect());
    let news: Vec<_> = is.iter().filter(|line| !was.contains(line)).collect();
    let gone: Vec<_> = was.iter().filter(|line| !is.contains(line)).collect();
    assert!(
        described == kept,
        "the migrations make another schema than `migrate --check` expects; with UPDATE_DESCRIPTION=1 this test writes \
         ledger/src/migrate/schema.txt anew\n+ {news:#?}\n- {gone:#?}"
    );
}

#[tokio::test]
async fn each_thing_that_is_not_as_the_migrations_make_it_is_named() {
    let stack = idle_stack().await;
    org_with_partition(&stack).await;
    assert_eq!(told(&stack, "").await, [""; 0]);
    for (damage, expected) in [
        ("DROP INDEX user_workflow_run_channel", "missing index public.user_workflow_run.user_workflow_run_channel"),
        (
            "DROP INDEX user_workflow_run_status; CREATE INDEX user_workflow_run_status ON user_workflow_run (org_id, status)",
            "different index public.user_workflow_run.user_workflow_run_status",
        ),
        ("CREATE INDEX mine ON app_user (email)", "unexpected index public.app_user.mine"),
        ("ALTER TABLE batch_job ALTER rows_total TYPE bigint", "different column public.batch_job.rows_total"),
        ("ALTER TABLE batch_job ALTER name SET NOT NULL", "different column public.batch_job.name"),
        ("ALTER TABLE batch_job ALTER rows_total DROP DEFAULT", "different column public.batch_job.rows_total"),
        ("ALTER TABLE app_user ADD nickname text", "unexpected column public.app_user.nickname"),
        ("ALTER TABLE task_type DROP description", "missing column public.task_type.description"),
        ("ALTER TABLE ledger.event ADD x int", "unexpected column ledger.event.x"),
        ("DROP INDEX ledger.event_subject", "missing index ledger.event.event_subject"),
        ("DROP POLICY tenant ON app_user", "missing policy public.app_user.tenant"),
        ("ALTER POLICY tenant ON app_user USING (true)", "different policy public.app_user.tenant"),
        ("CREATE POLICY open ON ledger.head USING (true)", "unexpected policy ledger.head.open"),
        ("ALTER TABLE app_user NO FORCE ROW LEVEL SECURITY", "different table public.app_user"),
        (
            "ALTER TABLE ledger.archived_event DISABLE TRIGGER refuse_change",
            "different trigger ledger.archived_event.refuse_change",
        ),
        (
            "DROP TRIGGER refuse_truncate ON ledger.archived_event",
            "missing trigger ledger.archived_event.refuse_truncate",
        ),
        ("REVOKE SELECT ON ledger.head FROM runledger_reader", "missing grant ledger.head to runledger_reader"),
        ("GRANT DELETE ON ledger.head TO runledger_ledger", "different grant ledger.head to runledger_ledger"),
        ("GRANT SELECT ON ledger.dead_letter TO PUBLIC", "unexpected grant ledger.dead_letter to PUBLIC"),
        ("GRANT SELECT (email) ON app_user TO PUBLIC", "unexpected grant public.app_user.email to PUBLIC"),
        ("GRANT CREATE ON SCHEMA ledger TO PUBLIC", "unexpected grant ledger to PUBLIC"),
        (
            "CREATE OR REPLACE VIEW rcm_user AS SELECT user_id, org_id, email, display_name, email AS name, roles, true AS is_active, created_at, updated_at FROM app_user",
            "different view public.rcm_user",
        ),
        ("ALTER VIEW workflow_trace SET (security_invoker = false)", "different view public.workflow_trace"),
        ("DROP TRIGGER refuse_write ON rcm_user", "missing trigger public.rcm_user.refuse_write"),
        ("DROP VIEW run_step", "missing view public.run_step"),
        (
            "CREATE OR REPLACE FUNCTION ledger.current_org() RETURNS uuid STABLE PARALLEL SAFE LANGUAGE sql AS 'SELECT NULL::uuid'",
            "different function ledger.current_org()",
        ),
        ("CREATE FUNCTION ledger.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "unexpected function ledger.f()"),
        ("CREATE TABLE ledger.mine (x int)", "unexpected table ledger.mine"),
        ("CREATE RULE quiet AS ON INSERT TO ledger.event DO INSTEAD NOTHING", "unexpected rule ledger.event.quiet"),
        ("CREATE TYPE ledger.mood AS ENUM ('good')", "unexpected type ledger.mood"),
        ("DROP TABLE ledger.generation CASCADE", "missing table ledger.generation"),
        ("ALTER ROLE runledger_reader BYPASSRLS", "different role runledger_reader"),
        ("GRANT runledger_admin TO runledger_reader", "different role runledger_reader"),
        ("ALTER VIEW run_step OWNER TO runledger_admin", "different view public.run_step"),
    ] {
        let told = told(&stack, damage).await;
        assert!(told.iter().any(|line| line == expected), "{damage}: {expected:?} is not in {told:#?}");
        // What goes with it is told too, and nothing else.
        let (_, _, object) = split(expected);
        let relation = object.split('.').take(2).collect::<Vec<_>>().join(".");
        for line in &told {
            let (_, _, other) = split(line);
            let is_of_it = other.starts_with(&relation) || damage.contains("CASCADE") || damage.contains("OWNER");
            assert!(is_of_it, "{damage}: {line}");
        }
    }
}

fn split(line: &str) -> (&str, &str, &str) {
    let mut parts = line.splitn(3, ' ');
    (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
}

#[tokio::test]
async fn each_partition_is_held_against_what_make_partition_makes() {
    let stack = idle_stack().await;
    let (_, sound) = org_with_partition(&stack).await;
    let (_, name) = org_with_partition(&stack).await;
    assert_eq!(told(&stack, "").await, [""; 0]);
    for (damage, expected) in [
        ("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", "different table {}"),
        ("ALTER TABLE {} DISABLE TRIGGER refuse_truncate", "different trigger {}.refuse_truncate"),
        ("ALTER TABLE {} ENABLE TRIGGER refuse_change", "different trigger {}.refuse_change"),
        ("DROP TRIGGER refuse_truncate ON {}", "missing trigger {}.refuse_truncate"),
        ("GRANT SELECT ON {} TO runledger_reader", "unexpected grant {} to runledger_reader"),
        ("CREATE POLICY open ON {} USING (true)", "unexpected policy {}.open"),
        ("CREATE INDEX mine ON {} (source)", "unexpected index {}.mine"),
        ("ALTER TABLE {} ADD CHECK (seq > 1)", "unexpected constraint {}."),
        ("ALTER TABLE {} ALTER source SET DEFAULT 'x'", "different column {}.source"),
    ] {
        let told = told(&stack, &damage.replace("{}", &name)).await;
        assert_eq!(told.len(), 1, "{damage}: {told:#?}");
        assert!(told[0].starts_with(&expected.replace("{}", &name)), "{damage}: {told:#?}");
        assert!(!told[0].contains(&sound), "{damage}: {told:#?}");
    }
    let moved = format!("ALTER TABLE ledger.event DETACH PARTITION {name}");
    let told = told(&stack, &moved).await;
    assert_eq!(told.first(), Some(&format!("unexpected table {name}")), "{told:#?}");
}

#[tokio::test]
async fn what_services_make_is_no_difference_and_what_is_amiss_with_it_is_one() {
    let stack = stack().await;
    let simulate = ["simulate", "--runs", "12", "--orgs", "2", "--seed", "5", "--json"];
    let simulated = Ended::of(&mut runledger(&stack, simulate)).await.objects().pop().unwrap();
    let org_id: OrgId = simulated["orgs"][0]["org_id"].as_str().unwrap().parse().unwrap();
    size_reaches(&stack, org_id, 5).await;
    assert_eq!(told(&stack, "").await, [""; 0]);

    rebuild(&stack).await;
    let replaced: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'replaced'")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert!(replaced > 10, "{replaced} tables were replaced");
    assert_eq!(told(&stack, "").await, [""; 0]);

    // A rebuild that is under way, and a drop of archived events that was killed.
    let rest = format!("SELECT ledger.prepare_rest('{org_id}')");
    let begun = format!("SELECT ledger.start_generation('app_user', 1, 'test', false, true); {rest}");
    assert_eq!(told(&stack, &begun).await, [""; 0]);
    let table = format!("ledger.event_{}_rest", org_id.uuid().simple());
    for (damage, expected) in [
        ("GRANT SELECT ON replaced.app_user TO PUBLIC".to_owned(), "unexpected grant replaced.app_user to PUBLIC"),
        ("ALTER TABLE replaced.app_user DISABLE ROW LEVEL SECURITY".to_owned(), "unexpected table replaced.app_user"),
        ("CREATE TABLE rebuild.mine (x int)".to_owned(), "unexpected table rebuild.mine"),
        ("CREATE VIEW replaced.look AS SELECT 1".to_owned(), "unexpected table replaced.look"),
        (
            format!("{rest}; GRANT SELECT ON {table} TO runledger_reader"),
            &*format!("unexpected grant {table} to runledger_reader"),
        ),
    ] {
        let told = told(&stack, &damage).await;
        assert!(told.iter().any(|line| line == expected), "{damage}: {told:#?}");
    }
}

#[tokio::test]
async fn what_others_keep_in_public_is_none_of_our_business() {
    let stack = idle_stack().await;
    let theirs =
        "CREATE TABLE theirs (id int PRIMARY KEY, note text CHECK (note <> '')); CREATE INDEX ON theirs (note);
         GRANT SELECT ON theirs TO PUBLIC; CREATE VIEW their_view AS SELECT run_id FROM user_workflow_run;
         CREATE FUNCTION their_function() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE their_type AS (a int);
         CREATE SEQUENCE their_sequence; CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE ROLE theirs_alone;
         GRANT USAGE ON SCHEMA public TO theirs_alone";
    assert_eq!(told(&stack, theirs).await, [""; 0]);
}

#[tokio::test]
async fn a_check_lists_each_difference_with_both_definitions() {
    let stack = idle_stack().await;
    execute(&stack, "DROP INDEX user_workflow_run_channel; ALTER TABLE batch_job ALTER rows_total TYPE bigint").await;
    let check = Ended::of(&mut runledger(&stack, ["migrate", "--check"])).await;
    let expected = "\
column public.batch_job.rows_total – different
  expected  integer NOT NULL DEFAULT 0
  found     bigint NOT NULL DEFAULT 0
index public.user_workflow_run.user_workflow_run_channel – missing
  expected  USING btree (org_id, channel, created_at, run_id) WHERE (channel IS NOT NULL)
";
    assert_eq!((check.code, check.stdout.as_str()), (Some(1), expected), "{}", check.stderr);
    let check = Ended::of(&mut runledger(&stack, ["migrate", "--check", "--json"])).await;
    let first: Value = serde_json::from_str(check.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({ "kind": "column", "object": "public.batch_job.rows_total", "state": "different",
                "expected": "integer NOT NULL DEFAULT 0", "found": "bigint NOT NULL DEFAULT 0" })
    );
    assert_eq!((check.code, check.stdout.lines().count()), (Some(1), 2));
    // Where migrations are pending, that is what there is to say.
    execute(&stack, "DELETE FROM _sqlx_migrations WHERE version >= 28").await;
    let check = run(&stack, ["migrate", "--check"]).await;
    assert!(!check.success && check.stdout.lines().all(|line| line.ends_with("pending")), "{}", check.stdout);
}

#[tokio::test]
async fn a_check_while_tables_are_exchanged_and_partitions_made_finds_nothing() {
    let stack = stack().await;
    let stop = AtomicBool::new(false);
    let checking = async {
        let mut checks = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut conn = stack.pool().acquire().await.unwrap();
            assert_eq!(differences(&mut conn).await.unwrap(), [], "after {checks} checks");
            checks += 1;
        }
        checks
    };
    let changing = async {
        for _ in 0..4 {
            rebuild(&stack).await;
            org_with_partition(&stack).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (checks, ()) = tokio::join!(checking, changing);
    assert!(checks > 4, "{checks} checks");
}

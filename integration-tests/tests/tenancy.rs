//! Tenancy and immutability are the database's job: the catalogue is walked, and what it promises is
//! tried in the roles of the services.

mod catalogue;
mod immutability;

use events::id::OrgId;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stack::Stack;
use uuid::Uuid;

use crate::{
    catalogue::{projected, publish_one_of_each},
    harness::{Sent, eventually, new_run, run, size, stack},
};

/// Every role that a service or a person connects as.
const ROLES: [&str; 4] = ["runledger_ledger", "runledger_projector", "runledger_reader", "runledger_admin"];

/// A stack whose tables all have rows of two orgs.
async fn two_orgs() -> (Stack, OrgId, OrgId) {
    let stack = stack().await;
    let mut orgs = Vec::new();
    for name in ["one", "two"] {
        let org_id = stack.register_org(name).await.unwrap();
        let run_id = new_run();
        let user = json!({ "email": "a@example.org" });
        Sent::valid(org_id, "user.registered", Uuid::new_v4(), user).publish(&stack).await;
        let step = json!({ "step_id": Uuid::new_v4() });
        Sent::valid(org_id, "step.started", run_id.uuid(), step).publish(&stack).await;
        Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
        Sent::valid(org_id, "run.exploded", run_id.uuid(), json!({})).publish(&stack).await;
        let row = json!({ "row_id": Uuid::new_v4() });
        Sent::valid(org_id, "batch_row.added", Uuid::new_v4(), row).publish(&stack).await;
        let nodes = [Uuid::new_v4(), Uuid::new_v4()];
        let workflow = json!({
            "name": "w", "revision": 1, "nodes": nodes.map(|node_id| json!({ "node_id": node_id, "label": "n" })),
            "transitions": [{ "from": nodes[0], "to": nodes[1] }],
        });
        Sent::valid(org_id, "workflow.created", Uuid::new_v4(), workflow).publish(&stack).await;
        let of_catalogue = publish_one_of_each(&stack, org_id).await;
        projected(&stack, org_id, 6 + of_catalogue).await;
        stack.wait_for_run(org_id, run_id, "running").await.unwrap();
        orgs.push(org_id);
    }
    eventually("the projections of orgs, users, workflows and batches", async || {
        let rows: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM app_user) + (SELECT count(*) FROM organization)
                  + (SELECT count(*) FROM user_workflow) + (SELECT count(*) FROM batch_row)",
        )
        .fetch_one(stack.pool())
        .await
        .unwrap();
        // The shared org is one of them.
        (rows == 9).then_some(())
    })
    .await;
    // Nothing of this test makes a poison event or archives one, and the door lets nobody but the shared org
    // publish what is everyone's.
    for org_id in &orgs {
        for sql in [
            "INSERT INTO ledger.archive (org_id, first_seq, last_seq, location, bytes, frontier, root) VALUES ($1, 1, 1, 'file:///a', 1, '{}', sha256(''))",
            "INSERT INTO ledger.archived_event (org_id, event_id, subject_id, seq, is_of_run, leaf_hash, content_hash)
             VALUES ($1, gen_random_uuid(), $1, 1, false, sha256(''), sha256(''))",
            "INSERT INTO ledger.archived_provenance (org_id, event_id, subject_id, seq, event_type, source, occurred_at, recorded_at)
             VALUES ($1, gen_random_uuid(), $1, 1, 'run.retracted', '/', now(), now())",
            "INSERT INTO field_requirement (org_id, task_type_id, field, status, version, event_id, created_at, updated_at)
             VALUES ($1, $1, 'npi', 'active', 1, $1, now(), now())",
            "INSERT INTO payer_requirement (org_id, payer_id, task_type_id, field, status, version, event_id, created_at, updated_at)
             VALUES ($1, $1, $1, 'npi', 'active', 1, $1, now(), now())",
        ] {
            sqlx::query(sql).bind(org_id.uuid()).execute(stack.pool()).await.unwrap();
        }
        sqlx::query(
            "INSERT INTO ledger.parked (projection, version, generation, org_id, subject_id, seq, reason) VALUES ('p', 1, 1, $1, $1, 1, 'r')",
        )
        .bind(org_id.uuid())
        .execute(stack.pool())
        .await
        .unwrap();
    }
    (stack, orgs[0], orgs[1])
}

/// Runs statements as the owner.
async fn owner(stack: &Stack, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(stack.pool()).await.unwrap();
}

/// The SQLSTATE that a statement fails with in a role, in a transaction that is rolled back; none if it
/// does not fail.
async fn sqlstate(conn: &mut PgConnection, role: Option<&str>, sql: &str) -> Option<String> {
    let mut tx = conn.begin().await.unwrap();
    if let Some(role) = role {
        sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL ROLE {role}"))).execute(&mut *tx).await.unwrap();
    }
    let result = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await;
    tx.rollback().await.unwrap();
    result.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
}

const DENIED: &str = "42501";

#[tokio::test]
async fn no_table_and_no_view_can_be_read_across_orgs() {
    let (stack, one, two) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let faults = catalogue::faults(&mut conn, one, two).await;
    assert!(faults.is_empty(), "{} faults\n- {}", faults.len(), faults.join("\n- "));
}

#[tokio::test]
async fn the_walk_finds_what_is_planted() {
    let (stack, one, two) = two_orgs().await;
    owner(
        &stack,
        "CREATE TABLE public.naked (org_id uuid PRIMARY KEY);
         CREATE TABLE ledger.unforced (org_id uuid PRIMARY KEY);
         ALTER TABLE ledger.unforced ENABLE ROW LEVEL SECURITY;
         CREATE TABLE public.leaky (org_id uuid PRIMARY KEY);
         ALTER TABLE public.leaky ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY leak ON public.leaky USING (true);
         GRANT SELECT ON public.leaky TO runledger_reader;
         INSERT INTO public.leaky SELECT org_id FROM ledger.head;
         CREATE VIEW public.bypass AS SELECT org_id, run_id FROM public.user_workflow_run;
         GRANT SELECT ON public.bypass TO runledger_reader;
         CREATE MATERIALIZED VIEW public.frozen AS SELECT org_id FROM ledger.head;
         GRANT SELECT ON public.frozen TO runledger_reader;
         CREATE TABLE public.by_run (org_id uuid, run_id uuid PRIMARY KEY);
         SELECT ledger.protect_by_org('public.by_run', 'runledger_projector', readable_by_tenant => true);
         CREATE TABLE public.empty (org_id uuid PRIMARY KEY);
         SELECT ledger.protect_by_org('public.empty', 'runledger_projector', readable_by_tenant => true);",
    )
    .await;
    owner(&stack, &format!("GRANT SELECT ON ledger.event_{} TO runledger_reader", one.uuid().simple())).await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let faults = catalogue::faults(&mut conn, one, two).await;
    for planted in [
        "public.naked: row-level security is not enabled",
        "public.naked: row-level security is not forced",
        "ledger.unforced: row-level security is not forced",
        "public.leaky: the reader sees rows of another org",
        "public.leaky: the reader sees rows without saying whose",
        "public.bypass: the view is not security_invoker",
        "public.bypass: the reader sees rows of another org",
        "public.frozen: a materialised view can be read",
        "public.by_run: key by_run_pkey leads with run_id",
        "public.empty: the two orgs have no rows in it",
        &format!("ledger.event_{}: runledger_reader reaches the partition", one.uuid().simple()),
    ] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(planted)),
            "not found: {planted}\n- {}",
            faults.join("\n- ")
        );
    }
}

#[tokio::test]
async fn the_reader_reaches_neither_dead_letters_nor_what_only_services_use() {
    let (stack, ..) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    for table in ["ledger.dead_letter", "ledger.checkpoint", "ledger.ingest_cursor"] {
        let select = format!("SELECT FROM {table}");
        assert_eq!(sqlstate(&mut conn, Some("runledger_reader"), &select).await.as_deref(), Some(DENIED), "{table}");
        assert_eq!(sqlstate(&mut conn, Some("runledger_admin"), &select).await, None, "{table}");
    }
}

#[tokio::test]
async fn the_admin_sees_all_orgs_and_changes_nothing() {
    let (stack, ..) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL ROLE runledger_admin").execute(&mut *tx).await.unwrap();
    for (table, expected) in
        [("ledger.head", 3_i64), ("public.user_workflow_run", 2), ("public.run_step", 2), ("ledger.dead_letter", 2)]
    {
        let count = format!("SELECT count(DISTINCT org_id) FROM {table}");
        let orgs: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(orgs, expected, "{table}");
    }
    let writable: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('public', 'ledger') AND c.relkind IN ('r', 'p', 'v', 'm')
           AND has_table_privilege('runledger_admin', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    assert_eq!(writable, [""; 0]);
}

#[tokio::test]
async fn the_org_of_a_transaction_is_not_that_of_the_next() {
    let (stack, one, _) = two_orgs().await;
    let mut conn = PgConnection::connect(stack.database_url()).await.unwrap();
    sqlx::raw_sql("SET ROLE runledger_reader").execute(&mut conn).await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL runledger.org_id = '{one}'"))).execute(&mut *tx).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.event").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(seen, size(&stack, one).await);
    tx.commit().await.unwrap();
    // The setting is now empty, which is not the same as unset.
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.event").fetch_one(&mut conn).await.unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn rows_of_the_shared_org_are_read_by_every_org_and_by_nobody_without_one() {
    let (stack, one, _) = two_orgs().await;
    let mut conn = stack.pool().acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL ROLE runledger_reader").execute(&mut *tx).await.unwrap();
    let orgs = "SELECT org_id FROM public.organization ORDER BY org_id";
    let seen: Vec<Uuid> = sqlx::query_scalar(orgs).fetch_all(&mut *tx).await.unwrap();
    assert!(seen.is_empty(), "{seen:?}");
    sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL runledger.org_id = '{one}'"))).execute(&mut *tx).await.unwrap();
    let seen: Vec<Uuid> = sqlx::query_scalar(orgs).fetch_all(&mut *tx).await.unwrap();
    assert_eq!(seen, [events::id::SHARED_ORG.uuid(), one.uuid()]);
}

#[tokio::test]
async fn a_dead_letter_can_be_seen_by_command_whatever_its_org() {
    let (stack, one, _) = two_orgs().await;
    let listed = run(&stack, ["dead-letters", "list", "--json"]).await;
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stderr);
    let listed = run(&stack, ["dead-letters", "list", "--org", &one.to_string(), "--json"]).await;
    assert_eq!(listed.stdout.lines().count(), 1, "{}", listed.stderr);
}

#[tokio::test]
async fn the_search_that_runs_as_the_owner_answers_for_the_transactions_org_alone() {
    let (stack, one, two) = two_orgs().await;
    owner(&stack, r#"UPDATE user_workflow_run SET context = '{"claim": "A12"}', flags = '{no_start}'"#).await;
    let found = |org: &str| {
        format!(
            "SET LOCAL ROLE runledger_reader; SET LOCAL runledger.org_id = '{org}';
             DO $$ DECLARE found uuid[]; BEGIN
                 FOR found IN SELECT ledger.few_runs('{{\"claim\": \"A12\"}}', NULL, 10) UNION ALL SELECT ledger.few_runs(NULL, 'no_start', 10) LOOP
                     IF found IS DISTINCT FROM (SELECT array_agg(run_id) FROM user_workflow_run) THEN
                         RAISE 'found %, of its own it has %', found, (SELECT array_agg(run_id) FROM user_workflow_run);
                     END IF;
                 END LOOP;
             END $$"
        )
    };
    let mut conn = stack.pool().acquire().await.unwrap();
    for org in [one.to_string(), two.to_string(), String::new()] {
        assert_eq!(sqlstate(&mut conn, None, &found(&org)).await, None, "{org}");
    }
    for role in ["runledger_ledger", "runledger_projector"] {
        let call = "SELECT ledger.few_runs('{}', NULL, 10)";
        assert_eq!(sqlstate(&mut conn, Some(role), call).await.as_deref(), Some(DENIED), "{role}");
    }
}

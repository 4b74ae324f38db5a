//! The views for readers of the old tables: the old shapes and ids, row-level security, quick look-ups, and that a
//! rebuild leaves them as they were.

use events::{
    Event,
    id::{OrgId, RunId},
};
use ledger::connection::{Database, Role};
use projector::rebuild::{Order, Progress, Rebuild};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{eventually, idle_stack, new_run, stack};

const VIEWS: [&str; 4] = ["workflow_trace", "rcm_trace", "workflow_steps", "rcm_user"];

async fn publish(stack: &Stack, org_id: OrgId, subject_id: Uuid, event_type: &str, data: Value) {
    let event = Event {
        org_id,
        event_id: Uuid::new_v4().try_into().unwrap(),
        event_type: event_type.to_owned(),
        schema_version: 1,
        subject_id: subject_id.try_into().unwrap(),
        source: "/compatibility".to_owned(),
        occurred_at: events::time::parse("2026-01-05T10:00:00Z").unwrap(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: data.to_string().into(),
    };
    stack.emitter("/compatibility").emit(&event).await.unwrap();
}

/// An org with a user and a run that has the old ids 41 and, for its step, 410.
async fn org_with_old_run(stack: &Stack, name: &str) -> (OrgId, RunId) {
    let org_id = stack.register_org(name).await.unwrap();
    let (run_id, step_id, user_id) = (new_run(), Uuid::new_v4(), Uuid::new_v4());
    let user = json!({ "email": "dana@example.org", "roles": ["biller"] });
    publish(stack, org_id, user_id, "user.registered", user).await;
    let run = json!({ "legacy_trace_id": 41, "channel": "web", "external_id": "CLM-1", "created_by": user_id,
                      "context": { "payer": "Zoë" } });
    publish(stack, org_id, run_id.uuid(), "run.started", run).await;
    let step =
        json!({ "step_id": step_id, "legacy_step_id": 410, "step_number": 1, "metadata": { "label": "Log in" } });
    publish(stack, org_id, run_id.uuid(), "step.created", step).await;
    let done = json!({ "step_id": step_id, "output_data": { "ok": true } });
    publish(stack, org_id, run_id.uuid(), "step.completed", done).await;
    publish(stack, org_id, new_run().uuid(), "run.created", json!({})).await;
    eventually("all of it to be projected", async || {
        let mut conn = stack.pool().acquire().await.unwrap();
        (projector::projected_through(&mut conn, org_id).await.unwrap().get() >= 6).then_some(())
    })
    .await;
    (org_id, run_id)
}

async fn rows(conn: &mut PgConnection, select: &str) -> Vec<Value> {
    let select = format!("SELECT to_jsonb(found) FROM ({select}) AS found");
    sqlx::query_scalar(AssertSqlSafe(select)).fetch_all(conn).await.unwrap()
}

/// Somebody with an account of long ago, who knows nothing of runledger; the role's name.
async fn old_reader(stack: &Stack, org_id: OrgId) -> String {
    let role = format!("old_reader_{}", Uuid::new_v4().simple());
    let create = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'old'; GRANT runledger_reader TO {role};
         ALTER ROLE {role} SET runledger.org_id = '{org_id}'"
    );
    sqlx::raw_sql(AssertSqlSafe(create)).execute(stack.pool()).await.unwrap();
    role
}

async fn connect_as(stack: &Stack, role: &str) -> PgConnection {
    let options: PgConnectOptions = stack.database_url().parse().unwrap();
    options.username(role).password("old").connect().await.unwrap()
}

#[tokio::test]
async fn an_old_reader_goes_on_with_the_old_names_and_sees_its_org_alone() {
    let stack = stack().await;
    let (org_id, run_id) = org_with_old_run(&stack, "one").await;
    org_with_old_run(&stack, "other").await;
    let role = old_reader(&stack, org_id).await;
    let mut conn = connect_as(&stack, &role).await;

    let traces = rows(&mut conn, "SELECT * FROM workflow_trace WHERE trace_id = 41").await;
    assert_eq!(traces.len(), 1, "{traces:#?}");
    let trace = &traces[0];
    assert_eq!((&trace["run_id"], &trace["org_id"]), (&json!(run_id), &json!(org_id)));
    assert_eq!((&trace["external_id"], &trace["context"]), (&json!("CLM-1"), &json!({ "payer": "Zoë" })));
    assert_eq!(trace["start_time"], "2026-01-05T10:00:00+00:00");
    assert!(trace["user_id"].is_string() && trace["end_time"].is_null());
    let aliases = rows(&mut conn, "SELECT * FROM rcm_trace WHERE rcm_trace_id = 41").await;
    let mut alias = aliases[0].clone();
    alias["trace_id"] = alias.as_object_mut().unwrap().remove("rcm_trace_id").unwrap();
    assert_eq!(&alias, trace);

    let steps =
        rows(&mut conn, "SELECT * FROM workflow_trace JOIN workflow_steps USING (trace_id, org_id, run_id)").await;
    assert_eq!(steps.len(), 1, "{steps:#?}");
    let step = rows(&mut conn, "SELECT * FROM workflow_steps WHERE step_id = 410").await.remove(0);
    assert_eq!((&step["trace_id"], &step["step_name"]), (&json!(41), &json!("Log in")));
    assert_eq!((&step["status"], &step["output_data"]), (&json!("completed"), &json!({ "ok": true })));

    let users = rows(&mut conn, "SELECT * FROM rcm_user").await;
    assert_eq!(users.len(), 1, "{users:#?}");
    assert_eq!((&users[0]["name"], &users[0]["is_active"]), (&json!("dana@example.org"), &json!(true)));
    // Runs that were never in the old tables are there too, without an old id.
    let ids = rows(&mut conn, "SELECT trace_id FROM workflow_trace ORDER BY 1").await;
    assert_eq!(ids, [json!({ "trace_id": 41 }), json!({ "trace_id": null })]);

    // Without an org, nobody's.
    sqlx::raw_sql("SET runledger.org_id = ''").execute(&mut conn).await.unwrap();
    for view in VIEWS {
        assert_eq!(rows(&mut conn, &format!("SELECT * FROM {view}")).await, [Value::Null; 0], "{view}");
        let write = format!("DELETE FROM {view}");
        assert!(sqlx::raw_sql(AssertSqlSafe(write)).execute(&mut conn).await.is_err(), "{view} can be written");
    }
    drop(conn);
    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(stack.pool()).await.unwrap();
}

/// Nobody writes a read model but the projector, not even the owner by an old name.
async fn owner_is_refused(stack: &Stack) {
    for write in [
        "UPDATE workflow_trace SET status = 'failed'",
        "DELETE FROM workflow_steps",
        "UPDATE rcm_trace SET channel = NULL",
        "INSERT INTO rcm_user (org_id, email) VALUES (gen_random_uuid(), 'a')",
    ] {
        let error = sqlx::raw_sql(write).execute(stack.pool()).await.expect_err(write).to_string();
        assert!(error.contains("is a view for readers"), "{write}: {error}");
    }
}

#[tokio::test]
async fn a_rebuild_leaves_the_views_and_what_stands_on_them_as_they_were() {
    let stack = stack().await;
    org_with_old_run(&stack, "one").await;
    let report = "CREATE VIEW old_report AS SELECT trace_id, step_name, name FROM workflow_steps
                  JOIN workflow_trace USING (trace_id, org_id) LEFT JOIN rcm_user USING (user_id)";
    sqlx::raw_sql(report).execute(stack.pool()).await.unwrap();
    let mut conn = stack.pool().acquire().await.unwrap();
    let all = [&VIEWS[..], &["old_report"]].concat();
    let mut before = Vec::new();
    for view in &all {
        before.push(rows(&mut conn, &format!("SELECT * FROM {view} ORDER BY 1, 2")).await);
    }
    assert_eq!(before[4], [json!({ "trace_id": 41, "step_name": "Log in", "name": "dana@example.org" })]);
    owner_is_refused(&stack).await;
    for round in 0..2 {
        let database = Database::new(stack.database_url(), Role::Projector).unwrap();
        let rebuild = Rebuild::of(projector::registry().unwrap().to_vec(), database);
        rebuild.run(&Order::default(), &Progress::default(), |difference| panic!("{difference:?}")).await.unwrap();
        // Views that still read the old tables would not see this.
        sqlx::raw_sql("TRUNCATE replaced.user_workflow_run, replaced.user_workflow_run_step, replaced.app_user")
            .execute(&mut *conn)
            .await
            .unwrap();
        for (view, before) in all.iter().zip(&before) {
            let after = rows(&mut conn, &format!("SELECT * FROM {view} ORDER BY 1, 2")).await;
            assert_eq!(&after, before, "{view}, round {round}");
        }
    }
    owner_is_refused(&stack).await;
    sqlx::raw_sql("DROP VIEW old_report").execute(&mut *conn).await.unwrap();
    assert_eq!(ledger::migrate::differences(&mut conn).await.unwrap(), []);
}

/// The plan that a tenant gets.
async fn plan(stack: &Stack, org_id: OrgId, select: &str) -> String {
    let mut conn = Database::new(stack.database_url(), Role::Reader).unwrap().of_org(org_id).connect().await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {select}"));
    let lines: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut conn).await.unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn look_ups_by_old_ids_use_an_index_under_row_level_security() {
    let stack = idle_stack().await;
    let load = "INSERT INTO user_workflow_run (org_id, run_id, status, created_at, updated_at, legacy_trace_id)
             SELECT ('00000000-0000-4000-8000-00000000000' || 2 + i % 3)::uuid, gen_random_uuid(), 'completed', now(), now(), nullif(i % 60000, 0) FROM generate_series(1, 60000) i;
         INSERT INTO user_workflow_run_step (org_id, run_id, step_id, status, created_at, updated_at, legacy_step_id)
             SELECT org_id, run_id, gen_random_uuid(), 'completed', now(), now(), legacy_trace_id * 10 FROM user_workflow_run;
         ANALYZE user_workflow_run, user_workflow_run_step";
    sqlx::raw_sql(load).execute(stack.pool()).await.unwrap();
    let org_id: OrgId = "00000000-0000-4000-8000-000000000003".parse().unwrap();
    let (of_run, of_step) = ("user_workflow_run_legacy", "user_workflow_run_step_legacy");
    for (select, indexes) in [
        ("SELECT * FROM workflow_trace WHERE trace_id = 301", vec![of_run]),
        ("SELECT * FROM rcm_trace WHERE rcm_trace_id = 301", vec![of_run]),
        ("SELECT * FROM workflow_trace WHERE trace_id IN (301, 604, 907)", vec![of_run]),
        ("SELECT * FROM workflow_trace WHERE trace_id > 301 ORDER BY trace_id LIMIT 10", vec![of_run]),
        ("SELECT * FROM workflow_steps WHERE step_id = 3010", vec![of_step]),
        (
            "SELECT * FROM workflow_steps WHERE trace_id = 301 ORDER BY step_number",
            vec![of_run, "user_workflow_run_step_pkey"],
        ),
    ] {
        let plan = plan(&stack, org_id, select).await;
        assert!(!plan.contains("Seq Scan"), "{select}\n{plan}");
        for index in indexes {
            assert!(plan.contains(index), "{select}: without {index}\n{plan}");
        }
        let mut conn =
            Database::new(stack.database_url(), Role::Reader).unwrap().of_org(org_id).connect().await.unwrap();
        assert!(!rows(&mut conn, select).await.is_empty(), "{select} finds nothing");
    }
    // Whoever does not ask for the run's old id does not pay for it.
    let plan = plan(&stack, org_id, "SELECT step_id, status FROM workflow_steps WHERE step_id = 3010").await;
    assert!(!plan.contains("user_workflow_run run"), "{plan}");
}

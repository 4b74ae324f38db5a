//! From the stream to the read models: orgs, users, runs, poison events, faults, late comers.

mod handed_over;
mod together;

use events::{
    emitter::EmitError,
    id::{OrgId, StepId},
    payload::{RunCompleted, RunStarted, StepCompleted, StepStarted},
};
use serde_json::{Value, json};
use sqlx::Row;
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, append, eventually, idle_stack, new_run, planted, run, size_reaches, stack};

#[tokio::test]
async fn a_run_that_is_emitted_can_be_seen() -> Result<(), Box<dyn std::error::Error>> {
    let stack = stack().await;
    let org_id = stack.register_org("St. Mary").await?;
    let run_id = new_run();
    let step_id: StepId = Uuid::new_v4().try_into()?;
    let run = stack.emitter("/eligibility").run(org_id, run_id);
    run.emit(&RunStarted::default()).await?;
    run.emit(&serde_json::from_value::<StepStarted>(
        json!({ "step_id": step_id, "step_number": 1, "input_data": { "amount": 1.10 } }),
    )?)
    .await?;
    run.emit(&serde_json::from_value::<StepCompleted>(json!({ "step_id": step_id }))?).await?;
    run.emit(&RunCompleted::default()).await?;
    let shown = stack.wait_for_run(org_id, run_id, "completed").await?;
    assert_eq!(shown["flags"], json!([]));
    let step = stack.step(org_id, run_id, step_id).await?.unwrap();
    assert_eq!((&step["status"], &step["step_number"]), (&json!("completed"), &json!(1)));
    Ok(())
}

async fn row(stack: &Stack, query: &'static str, org_id: OrgId) -> Value {
    eventually(query, async || {
        sqlx::query(query)
            .bind(org_id.uuid())
            .fetch_optional(stack.pool())
            .await
            .unwrap()
            .map(|row| row.get::<Value, _>(0))
    })
    .await
}

#[tokio::test]
async fn orgs_and_users_are_projected() {
    let stack = stack().await;
    let org_id = stack.register_org("Before").await.unwrap();
    let user_id = Uuid::new_v4();
    let registered = json!({ "email": "ada@example.org", "display_name": "Ada", "roles": ["biller"] });
    Sent::valid(org_id, "user.registered", user_id, registered).publish(&stack).await;
    Sent::valid(org_id, "org.updated", org_id.uuid(), json!({ "name": "After", "org_type": "hospital" }))
        .with("ce-time", &events::time::format(ledger::now()))
        .publish(&stack)
        .await;
    let user = row(&stack, "SELECT to_jsonb(u) FROM app_user u WHERE org_id = $1", org_id).await;
    assert_eq!(
        (&user["email"], &user["roles"], &user["status"]),
        (&json!("ada@example.org"), &json!(["biller"]), &json!("active"))
    );
    let org = row(&stack, "SELECT to_jsonb(o) FROM organization o WHERE org_id = $1 AND name = 'After'", org_id).await;
    assert_eq!(org["org_type"], "hospital");
    assert_eq!(row(&stack, "SELECT to_jsonb(count(*)) FROM run_step WHERE org_id = $1", org_id).await, json!(0));
}

/// Puts an event into the ledger that the door would have refused, as an older version might have.
async fn plant(stack: &Stack, org_id: OrgId, event_type: &str, version: i16, subject_id: Uuid, data: &str) -> i64 {
    let planted = events::Event { schema_version: version, ..planted(org_id, event_type, subject_id, data) };
    append(stack, &planted).await
}

#[tokio::test]
async fn a_poison_event_is_parked_and_disturbs_nothing_else() {
    let stack = stack().await;
    let org_id = stack.register_org("poisoned").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    let (poisoned, healthy) = (new_run(), new_run());
    Sent::valid(org_id, "run.started", poisoned.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(org_id, poisoned, "running").await.unwrap();
    let seq = plant(&stack, org_id, "step.completed", 1, poisoned.uuid(), r#"{"step_id": 5}"#).await;
    Sent::valid(org_id, "run.completed", poisoned.uuid(), json!({})).publish(&stack).await;
    Sent::valid(org_id, "run.started", healthy.uuid(), json!({})).publish(&stack).await;

    let shown = stack.wait_for_run(org_id, poisoned, "completed").await.unwrap();
    assert_eq!(shown["flags"], json!(["unfoldable_event"]));
    assert_eq!(shown["steps"], json!([]));
    stack.wait_for_run(org_id, healthy, "running").await.unwrap();
    let parked = row(&stack, "SELECT to_jsonb(p) FROM ledger.parked p WHERE org_id = $1", org_id).await;
    assert_eq!((&parked["seq"], &parked["subject_id"]), (&json!(seq), &json!(poisoned.uuid())));
    let status = run(&stack, ["status", "--json"]).await;
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let runs = status["projections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|projection| projection["projection"] == "user_workflow_run")
        .unwrap();
    assert_eq!(runs["parked"], 1);
}

#[tokio::test]
async fn a_newer_version_stops_that_orgs_projection_and_no_other() {
    let stack = stack().await;
    let (stopped, other) = (stack.register_org("newer").await.unwrap(), stack.register_org("other").await.unwrap());
    size_reaches(&stack, stopped, 1).await;
    let run_id = new_run();
    plant(&stack, stopped, "run.started", 99, run_id.uuid(), "{}").await;
    Sent::valid(stopped, "run.completed", run_id.uuid(), json!({})).publish(&stack).await;
    Sent::valid(other, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(other, run_id, "running").await.unwrap();
    size_reaches(&stack, stopped, 3).await;
    assert!(stack.run(stopped, run_id).await.unwrap().is_none(), "a projection guessed");
    let said = eventually("status to say so", async || {
        let status: Value = serde_json::from_str(&run(&stack, ["status", "--json"]).await.stdout).unwrap();
        let runs = status["projections"]
            .as_array()
            .unwrap()
            .iter()
            .find(|projection| projection["projection"] == "user_workflow_run")
            .unwrap()
            .clone();
        runs["stopped"].is_null().then_some(()).map_or(Some(runs), |()| None)
    })
    .await;
    assert!(said["stopped"].to_string().contains("99"), "{said}");
}

#[tokio::test]
async fn a_database_fault_pauses_the_projector_and_skips_nothing() {
    let stack = stack().await;
    let org_id = stack.register_org("paused").await.unwrap();
    let first = new_run();
    Sent::valid(org_id, "run.started", first.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(org_id, first, "running").await.unwrap();
    // Not the data's fault: the table is not there.
    sqlx::raw_sql("ALTER TABLE user_workflow_run RENAME TO away").execute(stack.pool()).await.unwrap();
    let second = new_run();
    Sent::valid(org_id, "run.started", second.uuid(), json!({})).publish(&stack).await;
    size_reaches(&stack, org_id, 3).await;
    eventually("the projector to be behind", async || {
        let behind: bool = sqlx::query_scalar(
            "SELECT seq < 3 FROM ledger.checkpoint WHERE org_id = $1 AND projection = 'user_workflow_run'",
        )
        .bind(org_id.uuid())
        .fetch_one(stack.pool())
        .await
        .unwrap();
        behind.then_some(())
    })
    .await;
    sqlx::raw_sql("ALTER TABLE away RENAME TO user_workflow_run").execute(stack.pool()).await.unwrap();
    stack.wait_for_run(org_id, second, "running").await.unwrap();
    let parked: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.parked").fetch_one(stack.pool()).await.unwrap();
    assert_eq!(parked, 0);
}

#[tokio::test]
async fn an_org_is_registered_by_command_and_listed() {
    let stack = stack().await;
    let added = run(&stack, ["org", "add", "Mercy \u{1b}[31m Clinic", "--type", "hospital", "--json"]).await;
    assert!(added.success, "{}", added.stderr);
    let listed = run(&stack, ["org", "list"]).await;
    assert!(listed.stdout.contains(r"Mercy \u{1b}[31m Clinic"), "{}", listed.stdout);
    assert!(!listed.stdout.contains('\u{1b}'));
}

#[tokio::test]
async fn what_the_ledger_would_refuse_is_an_error_of_the_emitter() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("strict").await.unwrap();
    let spoiled: Result<StepStarted, _> = serde_json::from_value(json!({ "step_id": "no id" }));
    assert!(spoiled.is_err());
    let mut event = stack_event(org_id);
    event.source = String::new();
    let refused = stack.emitter("/strict").emit(&event).await;
    assert!(matches!(refused, Err(EmitError::Refused { .. })), "{refused:?}");
}

fn stack_event(org_id: OrgId) -> events::Event {
    events::Event {
        org_id,
        event_id: Uuid::new_v4().try_into().unwrap(),
        event_type: "run.started".to_owned(),
        schema_version: 1,
        subject_id: new_run().subject(),
        source: "/strict".to_owned(),
        occurred_at: ledger::now(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: "{}".to_owned().into(),
    }
}

//! Rebuilding read models from their events while they serve: the proof that both agree, the swap and
//! the way back, new versions of a fold, and whatever may go wrong on the way.

use events::{
    Event,
    id::{OrgId, RunId},
};
use ledger::connection::{Database, Role};
use projector::{
    Registration,
    rebuild::{Difference, Order, Progress, Rebuild, RebuildError, Report},
};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{eventually, new_run, size};

mod drift;
mod faults;
mod swapping;
mod versions;

/// An event of a run or of one of its steps, of now.
fn event(org_id: OrgId, run_id: RunId, event_type: &str, data: Value) -> Event {
    Event {
        org_id,
        event_id: Uuid::new_v4().try_into().unwrap(),
        event_type: event_type.to_owned(),
        schema_version: 1,
        subject_id: run_id.subject(),
        source: "/rebuilding".to_owned(),
        occurred_at: ledger::now(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: data.to_string().into(),
    }
}

async fn publish(stack: &Stack, events: impl IntoIterator<Item = Event>) {
    let events: Vec<_> = events.into_iter().collect();
    stack.emitter("/rebuilding").emit_all(futures::stream::iter(events)).await.unwrap();
}

/// An org with so many runs of two steps, all projected.
async fn org_with_runs(stack: &Stack, runs: usize) -> (OrgId, Vec<RunId>) {
    let org_id = stack.register_org("rebuilt").await.unwrap();
    let runs: Vec<_> = (0..runs).map(|_| new_run()).collect();
    let events = runs.iter().flat_map(|&run_id| {
        let steps = [Uuid::new_v4(), Uuid::new_v4()];
        let of_run = |event_type: &str, data| event(org_id, run_id, event_type, data);
        [
            of_run("run.started", json!({ "channel": "web", "context": { "amount": 1.5, "payer": "Zoë" } })),
            of_run("step.started", json!({ "step_id": steps[0], "step_number": 1, "input_data": { "a": [1, 2.50] } })),
            of_run("step.completed", json!({ "step_id": steps[0], "output_data": { "b": null } })),
            of_run("step.started", json!({ "step_id": steps[1], "step_number": 2 })),
            of_run("step.failed", json!({ "step_id": steps[1], "error_message": "no", "error_details": [] })),
            of_run("run.endpoint_used", json!({ "endpoint": { "endpoint_id": Uuid::new_v4() } })),
            of_run("run.failed", json!({ "error_message": "a step failed" })),
        ]
    });
    publish(stack, events).await;
    projected(stack, org_id, 1 + 7 * runs.len() as i64).await;
    (org_id, runs)
}

/// Waits until so many events of the org are in the ledger and in every read model that serves.
async fn projected(stack: &Stack, org_id: OrgId, events: i64) {
    eventually(&format!("{events} events of org {org_id} to be projected"), async || {
        let mut conn = stack.pool().acquire().await.unwrap();
        let through = projector::projected_through(&mut conn, org_id).await.unwrap().get();
        (size(stack, org_id).await >= events && through >= events).then_some(())
    })
    .await;
}

fn database(stack: &Stack) -> Database {
    Database::new(stack.database_url(), Role::Projector).unwrap()
}

fn projection(name: &str) -> Registration {
    *projector::registration(name).unwrap()
}

/// Rebuilds, and collects what differs.
async fn rebuild(
    stack: &Stack,
    projections: &[Registration],
    order: Order,
) -> Result<(Report, Vec<Difference>), RebuildError> {
    let mut differences = Vec::new();
    let rebuild = Rebuild::of(projections.to_vec(), database(stack));
    let report = rebuild.run(&order, &Progress::default(), |difference| differences.push(difference)).await?;
    Ok((report, differences))
}

fn dry_run() -> Order {
    Order { dry_run: true, ..Order::default() }
}

/// Everything in a read model's rows, in order.
async fn rows(stack: &Stack, table: &str) -> Vec<String> {
    let select = format!("SELECT t::text FROM {table} t ORDER BY t::text");
    sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(stack.pool()).await.unwrap()
}

async fn execute(stack: &Stack, statement: &'static str) {
    sqlx::raw_sql(statement).execute(stack.pool()).await.unwrap();
}

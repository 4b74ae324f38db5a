//! Old events as Parquet: written and proved, dropped from the table, and still there for everybody who asks.

mod correcting;
mod dropping;
mod forgery;
mod keeping;
mod migrating;
mod reading;
mod writing;

use std::path::PathBuf;

use events::{
    Event,
    id::{EventId, OrgId, RunId},
    payload::OrgRegistered,
};
use ledger::append::{self, Outcome};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use stack::Stack;
use tempfile::TempDir;

use crate::harness::{new_run, run};

/// Events in one transaction.
const BATCH: usize = 2_000;

/// An org with so many events, its registration the first, appended without NATS. The others are of runs of
/// `run_length` events each.
async fn org_of(stack: &Stack, events: usize, run_length: usize) -> OrgId {
    let org_id = OrgId::generate();
    append_org(stack, org_id, events, run_length).await;
    org_id
}

async fn append_org(stack: &Stack, org_id: OrgId, events: usize, run_length: usize) {
    let registered: OrgRegistered = serde_json::from_value(json!({ "name": "archived" })).unwrap();
    let mut all = vec![Event::new(org_id, org_id.subject(), "/tests", &registered).unwrap()];
    while all.len() < events {
        let run_id = new_run();
        let room = events - all.len();
        all.extend(run_events(org_id, run_id, run_length).into_iter().take(room));
    }
    let first: Vec<&Event> = all.iter().take(1).collect();
    append::make_partitions(&mut stack.pool().acquire().await.unwrap(), &first).await.unwrap();
    for batch in all.chunks(BATCH) {
        append_events(stack, batch).await;
    }
}

/// A run that starts, does something and, last of all, ends.
fn run_events(org_id: OrgId, run_id: RunId, length: usize) -> Vec<Event> {
    let event = |n: usize| {
        let (event_type, data) = match n {
            0 => ("run.started", json!({ "channel": "web", "context": { "n": "0" } })),
            n if n + 1 == length => ("run.completed", json!({ "context": { "last": n.to_string() } })),
            n => ("run.context_added", json!({ "context": { format!("k{n}"): "v".repeat(40) } })),
        };
        Event {
            org_id,
            event_id: EventId::generate(),
            event_type: event_type.to_owned(),
            schema_version: 1,
            subject_id: run_id.subject(),
            source: "/tests".to_owned(),
            occurred_at: ledger::now(),
            correlation_id: n.is_multiple_of(2).then(|| format!("correlation {n}")),
            causation_id: None,
            traceparent: None,
            extensions: n.is_multiple_of(3).then(|| r#"{"authid":"a"}"#.to_owned()),
            data: data.to_string().into(),
        }
    };
    (0..length).map(event).collect()
}

async fn append_events(stack: &Stack, events: &[Event]) -> Vec<Outcome> {
    let events: Vec<&Event> = events.iter().collect();
    let mut tx = stack.pool().begin().await.unwrap();
    let outcomes = append::append(&mut tx, &events, ledger::now(), ledger::append::Ids::LookedUp).await.unwrap();
    tx.commit().await.unwrap();
    outcomes
}

/// A directory for archives.
fn directory() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("the archive #1").to_str().unwrap().to_owned();
    (directory, path)
}

fn file(directory: &str, org_id: OrgId, first: i64, last: i64) -> PathBuf {
    PathBuf::from(directory).join(org_id.to_string()).join(format!("{first}-{last}.parquet"))
}

async fn execute(stack: &Stack, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(stack.pool()).await.unwrap();
}

const FUTURE: &str = "2199-01-01T00:00:00Z";

/// Archives all events of an org: what the command says.
async fn archive(stack: &Stack, org_id: OrgId, directory: &str) -> Value {
    let org_id = org_id.to_string();
    let printed = run(stack, ["archive", "--org", &org_id, "--before", FUTURE, "--to", directory, "--json"]).await;
    assert!(printed.success, "{}", printed.stderr);
    serde_json::from_str(&printed.stdout).unwrap()
}

/// Archives all events of an org and drops them: what the command says of the latter.
async fn archive_and_drop(stack: &Stack, org_id: OrgId, directory: &str) -> Value {
    archive(stack, org_id, directory).await;
    let printed = run(stack, ["archive", "--org", &org_id.to_string(), "--drop", "--json"]).await;
    assert!(printed.success, "{}", printed.stderr);
    serde_json::from_str(&printed.stdout).unwrap()
}

/// The seqs that stand in the table.
async fn in_table(stack: &Stack, org_id: OrgId) -> Vec<i64> {
    sqlx::query_scalar("SELECT seq FROM ledger.event WHERE org_id = $1 ORDER BY seq")
        .bind(org_id.uuid())
        .fetch_all(stack.pool())
        .await
        .unwrap()
}

/// What verify finds, archives included: those of `directory`, or where they were written.
async fn verdict(stack: &Stack, org_id: OrgId, directory: Option<&str>) -> Value {
    let org_id = org_id.to_string();
    let printed = match directory {
        Some(directory) => run(stack, ["verify", "--org", &org_id, "--json", "--archive", directory]).await,
        None => run(stack, ["verify", "--org", &org_id, "--json", "--archive"]).await,
    };
    let verdict: Value = serde_json::from_str(&printed.stdout).unwrap_or_else(|_| panic!("{}", printed.stderr));
    assert_eq!(printed.success, verdict["verdict"] == "intact", "{verdict}");
    verdict
}

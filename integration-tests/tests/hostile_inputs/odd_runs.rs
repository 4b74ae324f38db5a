//! Runs whose events contradict each other, end to end: all of them are appended, the rules of the fold
//! decide, and the row says what was odd.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Sent, all_hold, new_run, stack};

/// An event of a run: its type, the second of the minute it happened at, its data.
type Happened = (&'static str, u32, Value);

/// A name, the events in the order they arrive, and members that the row must have.
type OddRun = (&'static str, Vec<Happened>, Value);

fn odd_runs() -> Vec<OddRun> {
    let step = json!({ "step_id": Uuid::from_u128(1 << 64 | 1) });
    let nothing = || json!({});
    let numbered = |id: u128| json!({ "step_id": Uuid::from_u128(1 << 64 | id), "step_number": 1 });
    let attempt = |attempt: i32| json!({ "step_id": step["step_id"], "attempt": attempt, "error_message": "x" });
    vec![
        (
            "in order",
            vec![("run.created", 0, nothing()), ("run.started", 1, nothing()), ("run.completed", 3, nothing())],
            json!({ "status": "completed", "duration_ms": 2000, "flags": [] }),
        ),
        (
            "the end arrives before the start",
            vec![("run.completed", 3, nothing()), ("run.started", 1, nothing()), ("run.created", 0, nothing())],
            json!({ "status": "completed", "duration_ms": 2000, "flags": [] }),
        ),
        (
            "an end and no start",
            vec![("run.completed", 3, nothing())],
            json!({ "status": "completed", "started_at": null, "duration_ms": null, "flags": ["no_start"] }),
        ),
        (
            "the end is before the start by the clocks",
            vec![("run.started", 5, nothing()), ("run.failed", 3, json!({ "error_message": "late" }))],
            json!({ "status": "failed", "error_message": "late", "duration_ms": null, "flags": ["event_after_end", "negative_duration"] }),
        ),
        (
            "an event after the end",
            vec![
                ("run.started", 1, nothing()),
                ("run.completed", 3, nothing()),
                ("run.context_added", 4, json!({ "context": { "a": 1 } })),
            ],
            json!({ "status": "completed", "context": { "a": 1 }, "flags": ["event_after_end"] }),
        ),
        (
            "two ends, the later of which arrives first",
            vec![
                ("run.started", 1, nothing()),
                ("run.completed", 5, nothing()),
                ("run.failed", 3, json!({ "error_message": "x" })),
            ],
            json!({ "status": "completed", "error_message": null, "duration_ms": 4000, "flags": ["several_ends"] }),
        ),
        (
            "a step before its run",
            vec![("step.started", 2, step.clone())],
            json!({ "status": "pending", "steps": [{ "status": "running" }], "flags": [] }),
        ),
        (
            "attempts that go back",
            vec![
                ("run.started", 0, nothing()),
                ("step.started", 1, step.clone()),
                ("step.retried", 4, attempt(2)),
                ("step.failed", 9, attempt(1)),
            ],
            json!({ "steps": [{ "status": "pending", "retry_count": 2, "flags": [] }] }),
        ),
        (
            "two ends of one attempt of a step",
            vec![
                ("step.started", 1, step.clone()),
                ("step.completed", 3, step.clone()),
                ("step.failed", 2, attempt(0)),
            ],
            json!({ "steps": [{ "status": "completed", "retry_count": 0, "flags": ["several_ends"] }] }),
        ),
        (
            "a step that ends and never starts",
            vec![("run.started", 0, nothing()), ("step.skipped", 3, step.clone())],
            json!({ "status": "running", "steps": [{ "status": "skipped", "duration_ms": null, "flags": ["no_start"] }] }),
        ),
        (
            "two steps with one number",
            vec![("run.started", 0, nothing()), ("step.created", 1, numbered(1)), ("step.created", 1, numbered(2))],
            json!({ "status": "running", "flags": ["step_number_reused"] }),
        ),
        (
            "an unknown channel",
            vec![("run.started", 0, json!({ "channel": "carrier pigeon" }))],
            json!({ "channel": "carrier pigeon", "flags": ["unknown_channel"] }),
        ),
        (
            "keys of a context that were set twice, the older arriving last",
            vec![
                ("run.context_added", 5, json!({ "context": { "a": "new" } })),
                ("run.context_added", 2, json!({ "context": { "a": "old", "b": 2 } })),
            ],
            json!({ "context": { "a": "new", "b": 2 } }),
        ),
        (
            "numbers that a float would round",
            vec![("run.context_added", 0, json!({ "context": { "n": u64::MAX } }))],
            json!({ "context": { "n": u64::MAX } }),
        ),
    ]
}

#[tokio::test]
async fn contradicting_events_make_the_row_of_the_rules_and_flag_it() {
    let stack = stack().await;
    let org_id = stack.register_org("odd").await.unwrap();
    let mut published = Vec::new();
    for (name, happened, expected) in odd_runs() {
        let run_id = new_run();
        for (event_type, second, data) in happened {
            let time = format!("2026-01-05T10:00:{second:02}Z");
            Sent::valid(org_id, event_type, run_id.uuid(), data).with("ce-time", &time).publish(&stack).await;
        }
        published.push((name, run_id, expected));
    }
    // The emitter counted two, and the ledger has one.
    let gap = new_run();
    Sent::valid(org_id, "run.started", gap.uuid(), json!({})).with("ce-sequence", "0000000002").publish(&stack).await;
    published.push(("an event that never arrived", gap, json!({ "flags": ["events_missing"] })));
    all_hold("odd runs", async || {
        let mut faults = Vec::new();
        for (name, run_id, expected) in &published {
            let row = stack.run(org_id, *run_id).await.unwrap().unwrap_or_default();
            if let Some(fault) = difference(&row, expected) {
                faults.push(format!("{name}: {fault}"));
            }
        }
        faults
    })
    .await;
}

/// The first member that is not as expected; members that are not named do not count.
fn difference(actual: &Value, expected: &Value) -> Option<String> {
    match expected {
        Value::Object(members) => members
            .iter()
            .find_map(|(name, expected)| difference(&actual[name], expected).map(|fault| format!("{name}: {fault}"))),
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            let pairs = elements.iter().enumerate();
            pairs.filter_map(|(index, expected)| difference(&actual[index], expected)).next()
        }
        expected => (actual != expected).then(|| format!("is {actual}, not {expected}")),
    }
}

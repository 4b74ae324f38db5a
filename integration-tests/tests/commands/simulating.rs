//! `runledger simulate` and `runledger status`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stack::Stack;

use super::Ended;
use crate::harness::{Sent, dead_letter_code, eventually, idle_stack, new_run, runledger, stack};

const SIMULATE: [&str; 12] = [
    "simulate",
    "--runs",
    "60",
    "--orgs",
    "2",
    "--seed",
    "7",
    "--start",
    "2026-01-05T08:00:00Z",
    "--refused",
    "5",
    "--json",
];

async fn status(stack: &Stack) -> Value {
    Ended::of(&mut runledger(stack, ["status", "--json"])).await.objects().pop().unwrap()
}

/// Waits until everything that is in the stream was appended and folded.
async fn all_is_done(stack: &Stack) -> Value {
    eventually("everything to be appended and folded", async || {
        let status = status(stack).await;
        let lags = status["projections"].as_array().unwrap().iter().all(|projection| projection["lag_events"] == 0);
        (status["stream_lag"] == 0 && lags).then_some(status)
    })
    .await
}

async fn heads(stack: &Stack) -> BTreeMap<String, (i64, Vec<u8>)> {
    let heads: Vec<(String, i64, Vec<u8>)> =
        sqlx::query_as("SELECT org_id::text, size, root FROM ledger.head").fetch_all(stack.pool()).await.unwrap();
    heads.into_iter().map(|(org_id, size, root)| (org_id, (size, root))).collect()
}

/// Every event's content, of all orgs, in an order that does not depend on when it arrived.
async fn content(stack: &Stack) -> Vec<String> {
    let query = "SELECT concat_ws('|', org_id, event_id, event_type, subject_id, occurred_at, extensions, data)
                 FROM ledger.event ORDER BY org_id, event_id";
    sqlx::query_scalar(query).fetch_all(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn the_same_seed_and_start_give_the_same_events_and_again_change_nothing() {
    let stack = stack().await;
    let first = Ended::of(&mut runledger(&stack, SIMULATE)).await.objects().pop().unwrap();
    assert_eq!((&first["runs"], &first["seed"], &first["refused"]), (&json!(60), &json!(7), &json!(5)));
    let done = all_is_done(&stack).await;
    let (heads_before, content_before) = (heads(&stack).await, content(&stack).await);
    assert_eq!(done["ledger"]["events"].as_u64().unwrap() as usize, content_before.len());

    let second = Ended::of(&mut runledger(&stack, SIMULATE)).await.objects().pop().unwrap();
    assert_eq!(second, first);
    all_is_done(&stack).await;
    assert_eq!(heads(&stack).await, heads_before);

    // Of another ledger only the ledger's own clock is another.
    let other = crate::harness::stack().await;
    Ended::of(&mut runledger(&other, SIMULATE)).await.objects();
    all_is_done(&other).await;
    let shared_org = events::id::SHARED_ORG.to_string();
    let simulated =
        |content: Vec<String>| content.into_iter().filter(|event| !event.starts_with(&shared_org)).collect::<Vec<_>>();
    assert_eq!(simulated(content(&other).await), simulated(content_before));
}

#[tokio::test]
async fn another_seed_gives_other_runs() {
    let stack = idle_stack().await;
    let mut orgs = Vec::new();
    for seed in ["1", "2"] {
        let arguments =
            ["simulate", "--runs", "2", "--orgs", "1", "--start", "2026-01-05T08:00:00Z", "--seed", seed, "--json"];
        orgs.push(Ended::of(&mut runledger(&stack, arguments)).await.objects()[0]["orgs"][0]["org_id"].clone());
    }
    assert_ne!(orgs[0], orgs[1]);
}

#[tokio::test]
async fn a_simulation_can_be_slowed_down() {
    let stack = idle_stack().await;
    let started = std::time::Instant::now();
    let arguments = ["simulate", "--runs", "2", "--orgs", "1", "--seed", "1", "--rate", "10", "--json"];
    let events = Ended::of(&mut runledger(&stack, arguments)).await.objects()[0]["events"].as_f64().unwrap();
    // The first message need not wait, and a clock may be a little off.
    assert!(
        started.elapsed().as_secs_f64() > (events - 2.0) / 10.0 * 0.9,
        "{events} events in {:?}",
        started.elapsed()
    );
    let ended = Ended::of(&mut runledger(&stack, ["simulate", "--start", "2099-01-01T00:00:00Z"])).await;
    assert!(ended.complaint().contains("future"), "{}", ended.stderr);
}

#[tokio::test]
async fn status_shows_what_waits_what_is_behind_and_what_was_refused() {
    let mut stack = idle_stack().await;
    let org_id = stack.register_org("status").await.unwrap();
    let run_id = new_run();
    Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    let refused = Sent::valid(org_id, "run.vanished", run_id.uuid(), json!({})).publish(&stack).await;
    let waiting = status(&stack).await;
    assert_eq!(
        (&waiting["stream_lag"], &waiting["ledger"]["events"], &waiting["ledger"]["refused"]),
        (&json!(3), &json!(0), &json!([]))
    );

    stack.start_services().unwrap();
    assert_eq!(dead_letter_code(&stack, refused).await, "unknown_type");
    let done = all_is_done(&stack).await;
    assert_eq!(done["ledger"]["refused"], json!([{ "code": "unknown_type", "open": 1 }]));
    let names: Vec<_> =
        done["projections"].as_array().unwrap().iter().map(|of| of["projection"].as_str().unwrap()).collect();
    for projection in ["organization", "app_user", "user_workflow_run"] {
        assert!(names.contains(&projection), "{projection} is not among {names:?}");
    }
    for projection in done["projections"].as_array().unwrap() {
        let columns: Vec<_> = projection.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            columns,
            ["lag_events", "orgs_behind", "parked", "paused", "projection", "serving_version", "stopped", "version"]
        );
        assert_eq!(
            (&projection["orgs_behind"], &projection["parked"], &projection["stopped"]),
            (&json!(0), &json!(0), &Value::Null)
        );
    }
    let table = Ended::of(&mut runledger(&stack, ["status"])).await.stdout;
    for expected in ["0 messages wait", "user_workflow_run", "unknown_type", "runledger dead-letters list"] {
        assert!(table.contains(expected), "{expected:?} is not in:\n{table}");
    }
}

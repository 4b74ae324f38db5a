//! Memory is bounded by what a batch may hold, not by what waits in the stream.
//!
//! `RUNLEDGER_TEST_BACKLOG=1000000` makes it a million events; see `docs/PERFORMANCE.md`.

use std::time::Duration;

use events::{Event, id::OrgId, payload::RunStarted};
use serde_json::json;
use tokio::process::Child;

use crate::harness::{eventually_within, idle_stack, new_run, runledger, size};

/// The bound: what waits in memory, what is held of the batches on their way (received, parsed, encoded), and what
/// the process needs anyway; see `docs/PERFORMANCE.md`.
const RESIDENT_MAX_MIB: u64 = 256;
/// Events of the size that the field's services send, so that the backlog is several times the bound.
const PADDING: usize = 4_000;

/// A million events in a debug build take a while.
const DRAIN_MAX: Duration = Duration::from_secs(1_800);

fn peak_mib(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn events(orgs: &[OrgId], count: usize) -> impl Iterator<Item = Event> {
    let padding = "x".repeat(PADDING);
    (0..count).map(move |index| {
        let context = json!({ "context": { "padding": padding } });
        let payload: RunStarted = serde_json::from_value(context).unwrap();
        Event::new(orgs[index % orgs.len()], new_run().subject(), "/backlog", &payload).unwrap()
    })
}

#[tokio::test]
async fn memory_is_bounded_while_a_backlog_waits() {
    let backlog: usize = std::env::var("RUNLEDGER_TEST_BACKLOG").map_or(100_000, |count| count.parse().unwrap());
    let stack = idle_stack().await;
    let mut orgs = Vec::new();
    for index in 0..20 {
        orgs.push(stack.register_org(&format!("backlog {index}")).await.unwrap());
    }
    stack.emitter("/backlog").emit_all(futures::stream::iter(events(&orgs, backlog))).await.unwrap();

    let ledger = runledger(&stack, ["ledger"]).spawn().unwrap();
    let projector = runledger(&stack, ["projector"]).spawn().unwrap();
    let share = (backlog / orgs.len()) as i64;
    for &org_id in &orgs {
        eventually_within(DRAIN_MAX, "the backlog to be appended", async || {
            (size(&stack, org_id).await == 1 + share).then_some(())
        })
        .await;
    }
    eventually_within(DRAIN_MAX, "every run", async || {
        let runs: i64 =
            sqlx::query_scalar("SELECT count(*) FROM user_workflow_run").fetch_one(stack.pool()).await.unwrap();
        (runs == share * orgs.len() as i64).then_some(())
    })
    .await;
    let (ledger, projector) = (peak_mib(&ledger), peak_mib(&projector));
    println!("a backlog of {backlog} events: ledger {ledger} MiB, projector {projector} MiB at their peak");
    assert!(
        ledger < RESIDENT_MAX_MIB && projector < RESIDENT_MAX_MIB,
        "ledger {ledger} MiB, projector {projector} MiB"
    );
}

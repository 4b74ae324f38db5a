//! `runledger runs list` with its filters and `runledger runs show`.

use std::collections::BTreeSet;

use events::id::{OrgId, RunId};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use super::Ended;
use crate::harness::{Sent, idle_stack, new_run, runledger, size_reaches, stack};

/// The columns of the contract.
const RUN: [&str; 22] = [
    "org_id",
    "run_id",
    "workflow_id",
    "status",
    "channel",
    "external_id",
    "started_at",
    "ended_at",
    "duration_ms",
    "context",
    "config_snapshot",
    "endpoints_used",
    "error_message",
    "error_details",
    "created_at",
    "created_by",
    "updated_at",
    "legacy_trace_id",
    "workflow_revision",
    "parent_run_id",
    "flags",
    "steps",
];
const STEP: [&str; 21] = [
    "org_id",
    "step_id",
    "run_id",
    "node_id",
    "step_number",
    "status",
    "retry_count",
    "started_at",
    "ended_at",
    "duration_ms",
    "input_data",
    "output_data",
    "screenshots",
    "events",
    "error_message",
    "error_details",
    "metadata",
    "created_at",
    "updated_at",
    "legacy_step_id",
    "flags",
];

fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

async fn publish(stack: &Stack, org_id: OrgId, event_type: &str, run_id: RunId, time: &str, data: Value) {
    Sent::valid(org_id, event_type, run_id.uuid(), data).with("ce-time", time).publish(stack).await;
}

#[tokio::test]
async fn a_run_is_shown_with_the_columns_of_the_contract_and_its_steps_in_order() {
    let stack = stack().await;
    let org_id = stack.register_org("shown").await.unwrap();
    let (run_id, steps) = (new_run(), [Uuid::new_v4(), Uuid::new_v4()]);
    let attributes = json!({ "channel": "efax", "external_id": "claim 7", "context": { "payer": "Blue Harbor" } });
    publish(&stack, org_id, "run.started", run_id, "2026-01-05T10:00:00Z", attributes).await;
    for (number, step_id) in [(2, steps[1]), (1, steps[0])] {
        let started =
            json!({ "step_id": step_id, "step_number": number, "metadata": { "label": format!("Step no. {number}") } });
        publish(&stack, org_id, "step.started", run_id, "2026-01-05T10:00:01Z", started).await;
    }
    let failed = json!({ "step_id": steps[1], "error_message": "the payer \u{1b}[31mhung up" });
    publish(&stack, org_id, "step.failed", run_id, "2026-01-05T10:00:02.5Z", failed).await;
    publish(&stack, org_id, "run.failed", run_id, "2026-01-05T10:01:05Z", json!({ "error_message": "no answer" }))
        .await;
    stack.wait_for_run(org_id, run_id, "failed").await.unwrap();

    let id = run_id.to_string();
    let shown = Ended::of(&mut runledger(&stack, ["runs", "show", &id, "--json"])).await.objects();
    let [run] = &shown[..] else { panic!("not one object: {shown:?}") };
    assert_eq!(names(run), BTreeSet::from(RUN));
    assert_eq!(run["steps"].as_array().unwrap().len(), 2);
    for (step, step_id) in run["steps"].as_array().unwrap().iter().zip(steps) {
        assert_eq!(names(step), BTreeSet::from(STEP));
        assert_eq!((&step["step_id"], &step["run_id"]), (&json!(step_id), &json!(run_id)));
    }
    assert_eq!((&run["duration_ms"], &run["error_message"]), (&json!(65_000), &json!("no answer")));
    assert_eq!((&run["steps"][1]["duration_ms"], &run["steps"][1]["status"]), (&json!(1_500), &json!("failed")));

    let printed = Ended::of(&mut runledger(&stack, ["runs", "show", &id])).await;
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    for expected in [
        "FAILED",
        &org_id.to_string(),
        "efax",
        "claim 7",
        "1 min 5 s",
        "no answer",
        "Blue Harbor",
        "Step no. 2",
        r"\u{1b}[31mhung up",
    ] {
        assert!(printed.stdout.contains(expected), "{expected:?} is not in:\n{}", printed.stdout);
    }
    assert!(!printed.stdout.contains('\u{1b}'));
    let place = |label| printed.stdout.find(label).unwrap();
    assert!(place("Step no. 1") < place("Step no. 2"), "{}", printed.stdout);
}

#[tokio::test]
async fn a_run_id_that_occurs_in_two_orgs_needs_the_org() {
    let stack = stack().await;
    let orgs = [stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap()];
    let run_id = new_run();
    for (org_id, channel) in orgs.into_iter().zip(["web", "voice"]) {
        publish(&stack, org_id, "run.started", run_id, "2026-01-05T10:00:00Z", json!({ "channel": channel })).await;
        stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    }
    let id = run_id.to_string();
    let ended = Ended::of(&mut runledger(&stack, ["runs", "show", &id])).await;
    let complaint = ended.complaint();
    for expected in ["--org", &orgs[0].to_string(), &orgs[1].to_string()] {
        assert!(complaint.contains(expected), "{complaint}");
    }
    for (org_id, channel) in orgs.into_iter().zip(["web", "voice"]) {
        let arguments = ["runs", "show", &id, "--json", "--org", &org_id.to_string()];
        let shown = Ended::of(&mut runledger(&stack, arguments)).await.objects();
        assert_eq!((&shown[0]["org_id"], &shown[0]["channel"]), (&json!(org_id), &json!(channel)));
    }
}

#[tokio::test]
async fn a_run_that_nobody_has_is_one_line_and_an_exit_code() {
    let mut stack = idle_stack().await;
    stack.start_services().unwrap();
    let (org_id, other) = (stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap());
    let unknown = new_run().to_string();
    let ended = Ended::of(&mut runledger(&stack, ["runs", "show", &unknown])).await;
    assert!(ended.complaint().contains(&unknown), "{}", ended.stderr);

    let others = new_run();
    publish(&stack, other, "run.started", others, "2026-01-05T10:00:00Z", json!({})).await;
    stack.wait_for_run(other, others, "running").await.unwrap();
    let arguments = ["runs", "show", &others.to_string(), "--json", "--org", &org_id.to_string()];
    let ended = Ended::of(&mut runledger(&stack, arguments)).await;
    assert!(ended.complaint().contains("no run"), "an org saw another's run: {}", ended.stderr);

    let ended = Ended::of(&mut runledger(&stack, ["runs", "show", "no-id"])).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("no-id"), "{}", ended.stderr);
}

/// The runs that a list with these filters shows, newest first, as their external ids.
async fn listed<const N: usize>(stack: &Stack, filters: [&str; N]) -> Vec<String> {
    let runs = Ended::of(runledger(stack, ["runs", "list", "--json"]).args(filters)).await.objects();
    runs.iter().map(|run| run["external_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn runs_are_listed_newest_first_by_any_filter() {
    let stack = stack().await;
    let (org_id, other) = (stack.register_org("listed").await.unwrap(), stack.register_org("other").await.unwrap());
    let workflow_id = Uuid::new_v4().to_string();
    let runs = [
        (org_id, "a", "web", "2026-01-05T10:00:00Z", Some(("run.completed", json!({})))),
        (org_id, "b", "voice", "2026-01-05T11:00:00Z", Some(("run.failed", json!({ "error_message": "no answer" })))),
        (org_id, "c", "web", "2026-01-05T12:00:00Z", None),
        (other, "d", "carrier pigeon", "2026-01-05T13:00:00Z", None),
    ];
    for (org_id, external_id, channel, time, end) in runs {
        let run_id = new_run();
        let mut attributes = json!({ "external_id": external_id, "channel": channel });
        if external_id == "b" {
            attributes["workflow_id"] = json!(workflow_id);
        }
        publish(&stack, org_id, "run.started", run_id, time, attributes).await;
        let status = end.as_ref().map_or("running", |(event_type, _)| event_type.trim_start_matches("run."));
        if let Some((event_type, data)) = &end {
            publish(&stack, org_id, event_type, run_id, "2026-01-05T14:00:00Z", data.clone()).await;
        }
        stack.wait_for_run(org_id, run_id, status).await.unwrap();
    }
    assert_eq!(listed(&stack, []).await, ["d", "c", "b", "a"]);
    assert_eq!(listed(&stack, ["--org", &org_id.to_string()]).await, ["c", "b", "a"]);
    assert_eq!(listed(&stack, ["--status", "running"]).await, ["d", "c"]);
    assert_eq!(listed(&stack, ["--channel", "web"]).await, ["c", "a"]);
    assert_eq!(listed(&stack, ["--channel", "web", "--status", "completed"]).await, ["a"]);
    assert_eq!(listed(&stack, ["--workflow", &workflow_id]).await, ["b"]);
    assert_eq!(listed(&stack, ["--external-id", "c"]).await, ["c"]);
    assert_eq!(listed(&stack, ["--flag", "unknown_channel"]).await, ["d"]);
    assert_eq!(
        listed(&stack, ["--since", "2026-01-05T11:00:00Z", "--before", "2026-01-05T13:00:00Z"]).await,
        ["c", "b"]
    );
    assert_eq!(listed(&stack, ["--limit", "2"]).await, ["d", "c"]);
    assert_eq!(listed(&stack, ["--status", "cancelled"]).await, [""; 0]);

    let run = Ended::of(&mut runledger(&stack, ["runs", "list", "--limit", "1", "--json"])).await.objects().remove(0);
    let columns = RUN.into_iter().filter(|column| *column != "steps");
    assert_eq!(names(&run), columns.collect());
    let table = Ended::of(&mut runledger(&stack, ["runs", "list", "--status", "failed"])).await.stdout;
    for expected in ["failed", "voice", "no answer", "2026-01-05 11:00:00", "3 h 0 min"] {
        assert!(table.contains(expected), "{expected:?} is not in:\n{table}");
    }
}

#[tokio::test]
async fn a_filter_that_no_run_can_meet_is_an_error() {
    let stack = idle_stack().await;
    for filter in ["--status=vanished", "--limit=0", "--limit=-1", "--org=none", "--since=yesterday", "--after=there"] {
        let ended = Ended::of(&mut runledger(&stack, ["runs", "list", filter])).await;
        assert_eq!(ended.code, Some(2), "{filter}: {}{}", ended.stdout, ended.stderr);
        let (name, value) = filter.split_once('=').unwrap();
        assert!(ended.stderr.contains(name) && ended.stderr.contains(value), "{filter}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn runs_are_found_by_what_their_context_says_by_each_org_among_its_own() {
    let stack = stack().await;
    let (org_id, other) = (stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap());
    let runs = [
        (org_id, "a", json!({ "claim": "A12", "line": 3, "zip": "01234" })),
        (
            org_id,
            "b",
            json!({ "claim": "A12", "line": 4, "zip": "98765", "payer": { "id": 7, "name": "Blue Harbor" } }),
        ),
        (org_id, "c", json!({ "claim": "A1" })),
        (other, "d", json!({ "claim": "A12", "line": 3 })),
    ];
    for (number, (org_id, external_id, context)) in runs.into_iter().enumerate() {
        let run_id = new_run();
        let attributes = json!({ "external_id": external_id, "context": context });
        let time = format!("2026-01-05T10:00:0{number}Z");
        publish(&stack, org_id, "run.started", run_id, &time, attributes).await;
        stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    }
    let of_one = org_id.to_string();
    assert_eq!(listed(&stack, ["--context", "claim=A12"]).await, ["d", "b", "a"]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", "claim=A12"]).await, ["b", "a"]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", "claim=A12", "--limit", "1"]).await, ["b"]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", "claim=A12", "--context", "line=3"]).await, ["a"]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", r#"line="3""#]).await, [""; 0]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", "zip=01234"]).await, ["a"]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", "zip=98765"]).await, [""; 0]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", r#"zip="98765""#]).await, ["b"]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", r#"payer={"id":7}"#]).await, ["b"]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", "claim=A12", "--status", "failed"]).await, [""; 0]);
    assert_eq!(listed(&stack, ["--org", &of_one, "--context", "claim=unknown"]).await, [""; 0]);

    let twice = Ended::of(&mut runledger(&stack, ["runs", "list", "--context", "line=3", "--context", "line=4"])).await;
    assert!(twice.complaint().contains("names line twice"), "{}", twice.stderr);
    let ended = Ended::of(&mut runledger(&stack, ["runs", "list", "--context", "claim"])).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("KEY=VALUE"), "{}", ended.stderr);
}

#[tokio::test]
async fn runs_of_a_frequent_value_are_found_among_the_newest() {
    let stack = stack().await;
    let org_id = stack.register_org("frequent").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    sqlx::query(
        r#"INSERT INTO user_workflow_run (org_id, run_id, status, external_id, context, flags, created_at, updated_at)
           SELECT $1, gen_random_uuid(), 'running', n, jsonb_build_object('odd', n % 2), ARRAY['no_start'], to_timestamp(n), now()
           FROM generate_series(1, 2400) n"#,
    )
    .bind(org_id.uuid())
    .execute(stack.pool())
    .await
    .unwrap();
    let of_org = org_id.to_string();
    let odd = listed(&stack, ["--org", &of_org, "--context", "odd=1", "--limit", "3"]).await;
    assert_eq!(odd, ["2399", "2397", "2395"]);
    assert_eq!(listed(&stack, ["--org", &of_org, "--flag", "no_start", "--limit", "2400"]).await.len(), 2400);
}

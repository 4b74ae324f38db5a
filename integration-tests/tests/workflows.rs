//! Workflow definitions from the stream to the terminal: refused, revised, compared, and with a run's steps on them.

use events::id::OrgId;
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, dead_letter_code, eventually, new_run, rebuild_same, run, size_reaches, stack};

const LOAD: &str = "00000000-0000-4000-8000-00000000000a";
const PORTAL: &str = "00000000-0000-4000-8000-00000000000b";
const PHONE: &str = "00000000-0000-4000-8000-00000000000c";
const RECORD: &str = "00000000-0000-4000-8000-00000000000d";

fn node(node_id: &str, label: &str) -> Value {
    json!({ "node_id": node_id, "label": label, "kind": "task", "metadata": { "agent_type": "rules" } })
}

fn branches() -> Value {
    json!([
        { "from": LOAD, "to": PORTAL, "condition": "channel = web" },
        { "from": PORTAL, "to": RECORD },
        { "from": LOAD, "to": PHONE, "condition": { "channel": "voice" } },
        { "from": PHONE, "to": RECORD },
    ])
}

/// A workflow whose runs ask a portal or telephone.
fn definition(revision: i32) -> Value {
    let nodes = [(LOAD, "Load claim"), (PORTAL, "Ask portal"), (PHONE, "Call payer"), (RECORD, "Record status")];
    let nodes: Vec<Value> = nodes.iter().map(|(node_id, label)| node(node_id, label)).collect();
    json!({ "name": "claim status", "revision": revision, "nodes": nodes, "transitions": branches() })
}

/// Its next revision: nobody telephones any more.
fn without_telephone(revision: i32) -> Value {
    let mut portal = node(PORTAL, "Ask the portal");
    portal["metadata"]["agent_config"] = json!({ "timeout_s": 90 });
    json!({
        "name": "claim status", "revision": revision,
        "nodes": [node(LOAD, "Load claim"), portal, node(RECORD, "Record status")],
        "transitions": [{ "from": LOAD, "to": PORTAL }, { "from": PORTAL, "to": RECORD }],
    })
}

async fn labels(stack: &Stack, workflow_id: Uuid) -> Vec<String> {
    sqlx::query_scalar("SELECT label FROM user_workflow_node WHERE workflow_id = $1 ORDER BY position")
        .bind(workflow_id)
        .fetch_all(stack.pool())
        .await
        .unwrap()
}

async fn transitions(stack: &Stack, workflow_id: Uuid) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM user_workflow_transition WHERE workflow_id = $1")
        .bind(workflow_id)
        .fetch_one(stack.pool())
        .await
        .unwrap()
}

/// Waits until the workflow's current revision is this one.
async fn revision_is(stack: &Stack, workflow_id: Uuid, revision: i32) {
    eventually(&format!("revision {revision} to be current"), async || {
        let current: Option<i32> = sqlx::query_scalar("SELECT revision FROM user_workflow WHERE workflow_id = $1")
            .bind(workflow_id)
            .fetch_optional(stack.pool())
            .await
            .unwrap();
        (current == Some(revision)).then_some(())
    })
    .await;
}

/// An org with revisions 2 and 3 of a workflow, which came in the wrong order.
async fn revised(stack: &Stack) -> (OrgId, Uuid) {
    let org_id = stack.register_org("revised").await.unwrap();
    let workflow_id = Uuid::new_v4();
    Sent::valid(org_id, "workflow.revised", workflow_id, without_telephone(3)).publish(stack).await;
    revision_is(stack, workflow_id, 3).await;
    Sent::valid(org_id, "workflow.created", workflow_id, definition(2)).publish(stack).await;
    size_reaches(stack, org_id, 3).await;
    eventually("both revisions", async || {
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM workflow_revision WHERE workflow_id = $1")
            .bind(workflow_id)
            .fetch_one(stack.pool())
            .await
            .unwrap();
        (kept == 2).then_some(())
    })
    .await;
    (org_id, workflow_id)
}

async fn printed<const N: usize>(stack: &Stack, arguments: [&str; N]) -> String {
    let printed = run(stack, arguments).await;
    assert!(printed.success, "{}", printed.stderr);
    printed.stdout
}

async fn json_of<const N: usize>(stack: &Stack, arguments: [&str; N]) -> Value {
    serde_json::from_str(&printed(stack, arguments).await).unwrap()
}

#[tokio::test]
async fn a_cycle_becomes_a_dead_letter_that_names_the_path() {
    let stack = stack().await;
    let org_id = stack.register_org("circular").await.unwrap();
    let mut circular = definition(1);
    circular["transitions"].as_array_mut().unwrap().push(json!({ "from": RECORD, "to": PORTAL }));
    let refused = Sent::valid(org_id, "workflow.created", Uuid::new_v4(), circular).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, refused).await, "invalid_event");
    let reason: String = sqlx::query_scalar("SELECT reason FROM ledger.dead_letter WHERE stream_seq = $1")
        .bind(refused as i64)
        .fetch_one(stack.pool())
        .await
        .unwrap();
    let expected = "/transitions/4: it closes the cycle Ask portal → Record status → Ask portal";
    assert!(reason.contains(expected), "{reason}");
    let mut dangling = definition(1);
    dangling["transitions"][3]["to"] = json!(Uuid::from_u128(1));
    let refused = Sent::valid(org_id, "workflow.revised", Uuid::new_v4(), dangling).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, refused).await, "invalid_event");
}

#[tokio::test]
async fn a_revised_workflow_loses_the_nodes_that_it_no_longer_has_live_and_rebuilt() {
    let stack = stack().await;
    let org_id = stack.register_org("revising").await.unwrap();
    let workflow_id = Uuid::new_v4();
    Sent::valid(org_id, "workflow.created", workflow_id, definition(1)).publish(&stack).await;
    revision_is(&stack, workflow_id, 1).await;
    assert_eq!(labels(&stack, workflow_id).await, ["Load claim", "Ask portal", "Call payer", "Record status"]);
    assert_eq!(transitions(&stack, workflow_id).await, 4);
    Sent::valid(org_id, "workflow.revised", workflow_id, without_telephone(2)).publish(&stack).await;
    revision_is(&stack, workflow_id, 2).await;
    let left = ["Load claim", "Ask the portal", "Record status"];
    assert_eq!(
        (labels(&stack, workflow_id).await, transitions(&stack, workflow_id).await),
        (left.map(str::to_owned).into(), 2)
    );

    rebuild_same(&stack, "user_workflow").await;
    assert_eq!(labels(&stack, workflow_id).await, left);
    Sent::valid(org_id, "workflow.revised", workflow_id, definition(3)).publish(&stack).await;
    revision_is(&stack, workflow_id, 3).await;
    assert_eq!((labels(&stack, workflow_id).await.len(), transitions(&stack, workflow_id).await), (4, 4));
}

#[tokio::test]
async fn workflows_are_listed_and_shown_as_they_are_and_were() {
    let stack = stack().await;
    let (org_id, workflow_id) = revised(&stack).await;
    let (org, id) = (org_id.to_string(), workflow_id.to_string());
    let listed = json_of(&stack, ["workflows", "list", "--org", &org, "--json"]).await;
    assert_eq!(
        (&listed["revision"], &listed["node_count"], &listed["status"]),
        (&json!(3), &json!(3), &json!("active"))
    );
    assert!(printed(&stack, ["workflows", "list"]).await.contains("claim status"));

    let shown = printed(&stack, ["workflows", "show", &id, "--org", &org]).await;
    for expected in ["claim status  ACTIVE", "revision 3", "○ Load claim  (task)\n│\n○ Ask the portal"] {
        assert!(shown.contains(expected), "{expected:?} is not in:\n{shown}");
    }
    let before = printed(&stack, ["workflows", "show", &id, "--revision", "2"]).await;
    let drawn = "○   Load claim  (task)\n├─┐\n○ │ Ask portal  (task)  if channel = web\n│ │\n│ ○ Call payer  (task)  if {\"channel\": \"voice\"}\n│ │\n├─┘\n○   Record status";
    assert!(before.contains(drawn), "{before}");
    let shown = json_of(&stack, ["workflows", "show", &id, "--revision", "2", "--json"]).await;
    assert_eq!((&shown["revision"], &shown["definition"]["revision"]), (&json!(3), &json!(2)));
    let unknown = run(&stack, ["workflows", "show", &id, "--revision", "9"]).await;
    assert!(!unknown.success && unknown.stderr.contains("has no revision 9; there are 2, 3"), "{}", unknown.stderr);

    Sent::valid(org_id, "workflow.archived", workflow_id, json!({ "reason": "replaced" }))
        .with("ce-time", "2026-01-06T10:00:00Z")
        .publish(&stack)
        .await;
    eventually("the archived workflow", async || {
        printed(&stack, ["workflows", "list", "--status", "archived"]).await.contains(&id).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_differs_between_two_revisions_is_told_field_by_field() {
    let stack = stack().await;
    let (_, workflow_id) = revised(&stack).await;
    let id = workflow_id.to_string();
    let told = json_of(&stack, ["workflows", "diff", &id, "--from", "2", "--to", "3", "--json"]).await;
    let parts = |list: &str| -> Vec<(String, Value)> {
        let parts = told[list].as_array().unwrap().iter();
        parts.map(|part| (part["change"].as_str().unwrap().to_owned(), part["fields"].clone())).collect()
    };
    assert_eq!(
        parts("nodes"),
        [
            (
                "changed".to_owned(),
                json!({ "label": ["Ask portal", "Ask the portal"], "metadata.agent_config": [null, { "timeout_s": 90 }] })
            ),
            ("removed".to_owned(), Value::Null),
        ]
    );
    assert_eq!(
        parts("transitions"),
        [
            ("changed".to_owned(), json!({ "condition": ["channel = web", null] })),
            ("removed".to_owned(), Value::Null),
            ("removed".to_owned(), Value::Null),
        ]
    );
    let table = printed(&stack, ["workflows", "diff", &id, "--from", "2"]).await;
    for expected in ["node Ask the portal", "node Call payer", "Load claim → Call payer", "removed", "channel = web"]
    {
        assert!(table.contains(expected), "{expected:?} is not in:\n{table}");
    }
    assert!(printed(&stack, ["workflows", "diff", &id, "--from", "3"]).await.contains("nothing differs"));
}

/// A run over the portal, with steps on its nodes and one on none.
async fn followed(stack: &Stack, org_id: OrgId, run: Value) -> String {
    let run_id = new_run();
    Sent::valid(org_id, "run.started", run_id.uuid(), run).publish(stack).await;
    for (number, node_id) in [Some(LOAD), Some(PORTAL), None].into_iter().enumerate() {
        let step_id = Uuid::new_v4();
        let started = json!({ "step_id": step_id, "step_number": number + 1, "node_id": node_id });
        Sent::valid(org_id, "step.started", run_id.uuid(), started).publish(stack).await;
        let (event_type, ended) = match number {
            1 => ("step.failed", json!({ "step_id": step_id, "error_message": "no answer" })),
            _ => ("step.completed", json!({ "step_id": step_id })),
        };
        Sent::valid(org_id, event_type, run_id.uuid(), ended).publish(stack).await;
    }
    Sent::valid(org_id, "run.failed", run_id.uuid(), json!({ "error_message": "no answer" })).publish(stack).await;
    stack.wait_for_run(org_id, run_id, "failed").await.unwrap();
    run_id.to_string()
}

#[tokio::test]
async fn a_run_is_drawn_on_the_revision_that_it_followed_with_its_path() {
    let stack = stack().await;
    let (org_id, workflow_id) = revised(&stack).await;
    let run_id = followed(&stack, org_id, json!({ "workflow_id": workflow_id, "workflow_revision": 2 })).await;
    let shown = printed(&stack, ["runs", "show", &run_id]).await;
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let start = lines.iter().position(|line| line.starts_with("claim status, revision 2")).expect(&shown);
    let drawn: Vec<String> =
        lines[start + 1..].iter().map(|line| line.split("  if ").next().unwrap().trim_end().to_owned()).collect();
    assert_eq!(
        drawn[..8],
        [
            "●   Load claim     completed  0 ms",
            "┡━┓",
            "✗ │ Ask portal     failed     0 ms",
            "│ │",
            "│ ○ Call payer",
            "│ │",
            "├─┘",
            "○   Record status",
        ]
        .map(|line| line.replace("┡━┓", "┠─┐")),
        "{shown}"
    );
    assert!(drawn[8].contains("is of no node"), "{shown}");

    let told = json_of(&stack, ["runs", "show", &run_id, "--json"]).await;
    let workflow = &told["workflow"];
    let statuses: Vec<&Value> = workflow["nodes"].as_array().unwrap().iter().map(|node| &node["status"]).collect();
    assert_eq!(statuses, [&json!("completed"), &json!("failed"), &Value::Null, &Value::Null]);
    let taken: Vec<&Value> = workflow["transitions"].as_array().unwrap().iter().map(|it| &it["is_taken"]).collect();
    assert_eq!(taken, [&json!(true), &json!(false), &json!(false), &json!(false)]);
    assert_eq!(workflow["steps_on_no_node"].as_array().unwrap().len(), 1);
    assert_eq!(told["steps"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_not_known_of_the_workflow_of_a_run_is_said() {
    let stack = stack().await;
    let (org_id, workflow_id) = revised(&stack).await;
    for (run, expected) in [
        (json!({ "workflow_id": workflow_id, "workflow_revision": 9 }), "no event has defined revision 9"),
        (json!({ "workflow_id": Uuid::new_v4(), "workflow_revision": 1 }), "no event has defined workflow"),
        (json!({ "workflow_id": workflow_id }), "this is the current one, 3"),
    ] {
        let run_id = followed(&stack, org_id, run).await;
        let shown = printed(&stack, ["runs", "show", &run_id]).await;
        assert!(shown.contains(expected), "{expected:?} is not in:\n{shown}");
        let note = json_of(&stack, ["runs", "show", &run_id, "--json"]).await["workflow"]["note"].clone();
        assert!(note.as_str().unwrap().contains(expected), "{note}");
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_workflows_alone() {
    let stack = stack().await;
    let (org_id, workflow_id) = revised(&stack).await;
    let other = stack.register_org("other").await.unwrap();
    size_reaches(&stack, other, 1).await;
    let (org, other, id) = (org_id.to_string(), other.to_string(), workflow_id.to_string());
    assert_eq!(printed(&stack, ["workflows", "list", "--org", &org, "--json"]).await.lines().count(), 1);
    assert_eq!(printed(&stack, ["workflows", "list", "--org", &other, "--json"]).await, "");
    for arguments in [["show", &id, "--org", &other].as_slice(), &["diff", &id, "--from", "2", "--org", &other]] {
        let mut command = crate::harness::runledger(&stack, ["workflows"]);
        let refused = command.args(arguments).output().await.unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("there is no workflow"), "{said}");
    }
}

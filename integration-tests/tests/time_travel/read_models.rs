//! Workflows, batches and the catalogue as they were: the ordinary questions, answered by the events of then.

use events::id::{OrgId, SHARED_ORG};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::{
    catalogue::projected,
    harness::{Sent, run, runledger, shared_events, stack},
};

async fn at(stack: &Stack, org_id: OrgId, event_type: &str, subject: Uuid, hour: u8, data: Value) {
    let time = format!("2026-01-05T{hour:02}:00:00Z");
    Sent::valid(org_id, event_type, subject, data).with("ce-time", &time).publish(stack).await;
}

/// What a command prints, its words divided by spaces.
async fn printed(stack: &Stack, words: &str) -> String {
    let mut command = runledger(stack, []);
    let output = command.args(words.split(' ')).output().await.unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(stack: &Stack, words: &str) -> String {
    let mut command = runledger(stack, []);
    let output = command.args(words.split(' ')).output().await.unwrap();
    assert!(!output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn objects(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A workflow of one revision at ten, two at twelve, archived at two; a run at one that follows the first.
async fn workflow(stack: &Stack, org_id: OrgId) -> (Uuid, Uuid) {
    let [workflow_id, run_id, first, second] = std::array::from_fn(|_| Uuid::new_v4());
    let nodes = |labels: [&str; 2]| json!([{ "node_id": first, "label": labels[0] }, { "node_id": second, "label": labels[1] }]);
    let one = json!({ "name": "claims", "revision": 1, "nodes": nodes(["Look up", "Record"]) });
    let two = json!({ "name": "claims", "revision": 2, "nodes": nodes(["Ask", "File"]), "transitions": [{ "from": first, "to": second }] });
    at(stack, org_id, "workflow.created", workflow_id, 10, one).await;
    at(stack, org_id, "workflow.revised", workflow_id, 12, two).await;
    at(stack, org_id, "workflow.archived", workflow_id, 14, json!({ "reason": "replaced" })).await;
    // It names no revision: what is drawn is the one that was current.
    at(stack, org_id, "run.started", run_id, 11, json!({ "workflow_id": workflow_id })).await;
    (workflow_id, run_id)
}

async fn batch(stack: &Stack, org_id: OrgId) -> Uuid {
    let batch_id = Uuid::new_v4();
    at(stack, org_id, "batch.submitted", batch_id, 9, json!({ "name": "Monday" })).await;
    for hour in 10..14 {
        let row_id = Uuid::new_v4();
        at(stack, org_id, "batch_row.added", batch_id, hour, json!({ "row_id": row_id, "row_number": hour })).await;
        at(stack, org_id, "batch_row.completed", batch_id, hour, json!({ "row_id": row_id })).await;
    }
    at(stack, org_id, "batch.completed", batch_id, 15, json!({})).await;
    batch_id
}

#[tokio::test]
async fn workflows_and_batches_are_shown_as_they_were() {
    let stack = stack().await;
    let org_id = stack.register_org("then").await.unwrap();
    let (workflow_id, run_id) = workflow(&stack, org_id).await;
    let batch_id = batch(&stack, org_id).await;
    projected(&stack, org_id, 1 + 4 + 10).await;

    let shown = printed(&stack, &format!("workflows show {workflow_id} --as-of 2026-01-05T13:00:00Z --json")).await;
    let shown = objects(&shown).remove(0);
    assert_eq!(
        (&shown["revision"], &shown["status"], &shown["archived_at"]),
        (&json!(2), &json!("active"), &json!(null))
    );
    let shown = printed(&stack, &format!("workflows show {workflow_id} --as-of 2026-01-05T10:30:00Z")).await;
    assert!(
        shown.contains("by 2026-01-05T10:30:00Z") && shown.contains("Look up") && !shown.contains("Ask"),
        "{shown}"
    );
    let early = refused(&stack, &format!("workflows show {workflow_id} --as-of 2026-01-05T09:00:00Z")).await;
    assert!(early.contains("did not exist at that point"), "{early}");
    // Of what was recorded: the run's events are not the workflow's, the second of the org is its first.
    let known = objects(&printed(&stack, &format!("workflows show {workflow_id} --known-at 2 --json")).await).remove(0);
    assert_eq!(known["revision_count"], 1);
    let listed =
        objects(&printed(&stack, &format!("workflows list --org {org_id} --as-of 2026-01-05T11:00:00Z --json")).await);
    assert_eq!((listed.len(), &listed[0]["revision"]), (1, &json!(1)));

    let drawn = printed(&stack, &format!("runs show {run_id} --as-of 2026-01-05T11:30:00Z")).await;
    assert!(drawn.contains("Look up") && !drawn.contains("Ask"), "{drawn}");
    let drawn = printed(&stack, &format!("runs show {run_id}")).await;
    assert!(drawn.contains("Ask"), "{drawn}");

    let shown = printed(&stack, &format!("batches show {batch_id} --as-of 2026-01-05T11:00:00Z --json")).await;
    let shown = objects(&shown).remove(0);
    assert_eq!((&shown["rows_completed"], &shown["status"]), (&json!(2), &json!("pending")));
    assert_eq!(shown["rows"].as_array().unwrap().len(), 2);
    let listed = printed(&stack, &format!("batches list --org {org_id} --as-of 2026-01-05T12:00:00Z --json")).await;
    assert_eq!(objects(&listed)[0]["rows_total"], 3);
    for command in ["workflows", "batches", "catalogue"] {
        let told = refused(&stack, &format!("{command} list --as-of 2026-01-05T12:00:00Z")).await;
        assert!(told.contains("--org"), "{told}");
    }
    let told = refused(&stack, &format!("batches show {batch_id} --known-at 99")).await;
    assert!(told.contains("has no seq 99"), "{told}");
}

#[tokio::test]
async fn as_of_now_everything_is_what_the_tables_say_byte_for_byte() {
    let stack = stack().await;
    let seeded = run(&stack, ["seed", "--json"]).await;
    assert!(seeded.success, "{}", seeded.stderr);
    let org_id = objects(&seeded.stdout)[0]["orgs"][0]["org_id"].as_str().unwrap().to_owned();
    let now = events::time::format(events::time::now());
    let mut compared = 0;
    for list in ["workflows list", "batches list", "catalogue list"] {
        let live = printed(&stack, &format!("{list} --org {org_id} --json")).await;
        let then = printed(&stack, &format!("{list} --org {org_id} --as-of {now} --json")).await;
        assert_eq!(live, then, "{list}");
        for (id, show) in [("workflow_id", "workflows show"), ("batch_id", "batches show")] {
            for id in
                objects(&live).iter().filter(|_| show.starts_with(list.split(' ').next().unwrap())).map(|row| &row[id])
            {
                let show = format!("{show} {} --org {org_id} --json", id.as_str().unwrap());
                assert_eq!(printed(&stack, &show).await, printed(&stack, &format!("{show} --known-at {now}")).await);
                compared += 1;
            }
        }
    }
    assert!(compared >= 4, "only {compared} were compared");
}

#[tokio::test]
async fn the_catalogue_is_listed_as_it_was_with_everyones_entries_and_what_aliases_inherited() {
    let stack = stack().await;
    let org_id = stack.register_org("then").await.unwrap();
    let [common, signature, alias] = std::array::from_fn(|_| Uuid::new_v4());
    at(&stack, SHARED_ORG, "portal_type.defined", common, 10, json!({ "name": "common" })).await;
    at(&stack, SHARED_ORG, "portal_type.defined", common, 12, json!({ "name": "renamed" })).await;
    at(&stack, org_id, "portal_type.defined", Uuid::new_v4(), 11, json!({ "name": "own" })).await;
    let steps = |label: &str| json!({ "source": "human", "step_labels": [label] });
    at(&stack, org_id, "task_signature.recorded", signature, 10, steps("dial")).await;
    at(&stack, org_id, "task_signature.recorded", alias, 10, json!({ "source": "ai", "alias_of": signature })).await;
    at(&stack, org_id, "task_signature.recorded", signature, 12, steps("log in")).await;
    projected(&stack, SHARED_ORG, shared_events() + 2).await;
    projected(&stack, org_id, 5).await;
    // A view of somebody else's over several of the tables.
    let view =
        "CREATE VIEW report WITH (security_invoker) AS SELECT name FROM portal_type JOIN task_signature USING (org_id);
                GRANT SELECT ON report TO runledger_reader";
    sqlx::raw_sql(view).execute(stack.pool()).await.unwrap();
    printed(&stack, &format!("catalogue list --org {org_id} --as-of 2026-01-05T12:30:00Z")).await;
    for (hour, portals, labels) in
        [("09", &[][..], None), ("10", &["common"], Some("dial")), ("12", &["own", "renamed"], Some("log in"))]
    {
        let list = |kind: &str| format!("catalogue list {kind} --org {org_id} --as-of 2026-01-05T{hour}:30:00Z --json");
        let names: Vec<_> =
            objects(&printed(&stack, &list("portal-types")).await).iter().map(|row| row["name"].clone()).collect();
        assert_eq!(names, portals, "{hour}");
        let rows = objects(&printed(&stack, &list("signatures")).await);
        let of_alias = rows.iter().find(|row| row["task_signature_id"] == *alias.to_string());
        assert_eq!(of_alias.map(|row| &row["step_labels"]), labels.map(|label| json!([label])).as_ref(), "{hour}");
    }
    let told = refused(&stack, &format!("catalogue list --org {org_id} --known-at 3")).await;
    assert!(told.contains("give --known-at a time"), "{told}");
}

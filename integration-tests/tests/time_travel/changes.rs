//! What changed in a run, and how runs differ.

use serde_json::{Map, Value, json};

use super::{at, json_of, printed, told};
use crate::harness::{new_run, size_reaches, stack};

/// Puts a value where a path of a difference leads: `context.payer`, `context["a.b"]`, `events["…"]`.
fn put(row: &mut Map<String, Value>, path: &str, value: &Value) {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (column, mut rest) = path.split_at(end);
    let mut keys = vec![column.to_owned()];
    while !rest.is_empty() {
        if let Some(plain) = rest.strip_prefix('.') {
            let end = plain.find(['.', '[']).unwrap_or(plain.len());
            keys.push(plain[..end].to_owned());
            rest = &plain[end..];
        } else {
            let mut keys_here = serde_json::Deserializer::from_str(&rest[1..]).into_iter::<String>();
            keys.push(keys_here.next().unwrap().unwrap());
            rest = &rest[1 + keys_here.byte_offset() + 1..];
        }
    }
    if keys.len() == 2 && ["endpoints_used", "screenshots", "events"].contains(&column) {
        // Of an event that added several elements, they are an array.
        let added = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        return row[column].as_array_mut().unwrap().extend_from_slice(added);
    }
    let (last, above) = keys.split_last().unwrap();
    let mut object = row;
    for key in above {
        object = object[key].as_object_mut().unwrap();
    }
    object.insert(last.clone(), value.clone());
}

fn apply(row: &mut Map<String, Value>, before: &Map<String, Value>, differences: &Value) {
    for (path, values) in differences.as_object().unwrap() {
        if !path.contains(['.', '[']) {
            assert_eq!(before.get(path).unwrap_or(&Value::Null), &values[0], "{path} was something else");
        }
        put(row, path, &values[1]);
    }
}

#[tokio::test]
async fn the_changes_of_a_history_one_after_the_other_make_the_row() {
    let stack = stack().await;
    let (_, run_id) = told(&stack, "applied").await;
    let id = run_id.to_string();
    let lines = printed(&stack, ["runs", "history", &id, "--json"]).await;
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), super::story().len());
    let (mut row, mut steps) = (Map::new(), Vec::<Map<String, Value>>::new());
    for entry in &entries {
        let before = row.clone();
        apply(&mut row, &before, &entry["run"]);
        for step in entry["steps"].as_array().unwrap() {
            let found = steps.iter().position(|known| known["step_id"] == step["step_id"]);
            assert_eq!(step["change"], if found.is_some() { "changed" } else { "appeared" });
            let place = found.unwrap_or_else(|| {
                steps.push(Map::new());
                steps.len() - 1
            });
            let before = steps[place].clone();
            apply(&mut steps[place], &before, &step["columns"]);
        }
    }
    let live = json_of(&stack, ["runs", "show", &id, "--json"]).await;
    let mut applied = Value::Object(row);
    applied["steps"] = steps.into_iter().map(Value::Object).collect();
    let with_value = |value: &Value| -> Map<String, Value> {
        let columns = value.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        columns.map(|(column, value)| (column.clone(), value.clone())).collect()
    };
    for (column, value) in with_value(&live) {
        if column.ends_with("_at") {
            let time = |value: &Value| events::time::parse(value.as_str().unwrap()).unwrap();
            assert_eq!(time(&applied[&column]), time(&value), "{column}");
        } else if column == "steps" {
            for (step, live) in applied["steps"].as_array().unwrap().iter().zip(value.as_array().unwrap()) {
                for (column, value) in with_value(live).iter().filter(|(column, _)| !column.ends_with("_at")) {
                    assert_eq!(&step[column], value, "{column}");
                }
            }
        } else {
            assert_eq!(applied[&column], value, "{column}");
        }
    }
}

#[tokio::test]
async fn a_history_lists_the_events_with_both_times_and_what_each_changed() {
    let stack = stack().await;
    let (org_id, run_id) = told(&stack, "history").await;
    let id = run_id.to_string();
    let lines = printed(&stack, ["runs", "history", &id, "--json", "--org", &org_id.to_string()]).await;
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<_> = entries.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (2..=14).collect::<Vec<_>>());
    assert_eq!((&entries[0]["change"], &entries[4]["change"]), (&json!("appeared"), &Value::Null));
    assert_eq!(entries[2]["event_type"], "run.created");
    assert_eq!(entries[2]["occurred_at"], at(0));
    assert!(entries[2]["recorded_at"].as_str().unwrap() > entries[1]["recorded_at"].as_str().unwrap());
    assert_eq!(entries[2]["run"]["config_snapshot.retries"], json!([null, 3]));
    assert_eq!((&entries[4]["run"], &entries[4]["steps"]), (&json!({}), &json!([])), "custom.noted changed something");
    assert_eq!(entries[5]["steps"][0]["columns"]["status"], json!(["running", "completed"]));
    assert_eq!(entries[7]["run"]["context.payer"], json!(["Blue Harbor", "Green Valley"]));
    assert_eq!(entries[7]["run"]["context[\"member.id\"]"], json!([null, "M 1"]));
    let pictures = &entries[12]["steps"][0]["columns"][format!("screenshots[{}]", entries[12]["event_id"])];
    let uris: Vec<_> = pictures[1].as_array().unwrap().iter().map(|picture| picture["uri"].as_str().unwrap()).collect();
    assert_eq!((&pictures[0], uris), (&Value::Null, vec!["s3://2", "s3://3"]));

    let text = printed(&stack, ["runs", "history", &id]).await;
    for expected in [
        "run appears: running",
        "step 1 Step no. 1 appears: running",
        "step 1 Step no. 1: status running → completed",
        "run: context.payer Blue Harbor → Green Valley",
        "2026-01-05 10:00:05.000",
        "run: error_message – → no answer",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[tokio::test]
async fn a_diff_of_two_points_says_what_changed_in_between() {
    let stack = stack().await;
    let (_, run_id) = told(&stack, "points").await;
    let id = run_id.to_string();
    let changes = json_of(&stack, ["runs", "diff", &id, "--from", &at(4), "--to", &at(6), "--json"]).await;
    assert_eq!(changes.as_object().unwrap().keys().collect::<Vec<_>>(), ["change", "run", "steps"]);
    assert_eq!(changes["change"], "changed");
    let run_columns: Vec<_> = changes["run"].as_object().unwrap().keys().collect();
    assert_eq!(run_columns, ["updated_at"]);
    assert_eq!(changes["steps"][0]["change"], "changed");
    assert_eq!(changes["steps"][0]["columns"]["status"], json!(["running", "completed"]));
    assert_eq!(changes["steps"][0]["columns"]["output_data"], json!([null, { "eligible": true }]));
    assert_eq!((&changes["steps"][1]["change"], &changes["steps"][1]["step_number"]), (&json!("appeared"), &json!(2)));

    // The same words on the other clock: seqs, and times at which things were recorded.
    let changes = json_of(&stack, ["runs", "diff", &id, "--from", "3", "--to", "4", "--json"]).await;
    assert_eq!(changes["run"]["config_snapshot.retries"], json!([null, 3]));
    let all = json_of(&stack, ["runs", "diff", &id, "--from", "2000-01-01T00:00:00Z", "--known", "--json"]).await;
    assert_eq!(all["run"]["status"], json!([null, "failed"]));

    let table = printed(&stack, ["runs", "diff", &id, "--from", &at(4)]).await;
    for expected in ["context.payer", "Green Valley", "step 2 Step no. 2", "appears", "no answer", "completed"] {
        assert!(table.contains(expected), "{expected:?} is not in:\n{table}");
    }
    let same = printed(&stack, ["runs", "diff", &id, "--from", "14", "--to", "14"]).await;
    assert_eq!(same.trim(), "nothing changed");
}

#[tokio::test]
async fn a_diff_of_two_runs_compares_them_step_by_step() {
    let stack = stack().await;
    let (org_id, failed) = told(&stack, "two").await;
    let completed = new_run();
    let step_id = uuid::Uuid::new_v4();
    let started = json!({ "step_id": step_id, "step_number": 2, "input_data": { "claim": 9, "amount": 1.5 } });
    for (event_type, time, data) in [
        ("run.started", at(0), json!({ "channel": "web", "context": { "payer": "Green Valley" } })),
        ("step.started", at(1), started),
        ("step.completed", at(3), json!({ "step_id": step_id, "output_data": { "paid": 7 } })),
        ("step.skipped", at(4), json!({ "step_id": uuid::Uuid::new_v4() })),
        ("run.completed", at(5), json!({})),
    ] {
        super::publish(&stack, org_id, event_type, completed, &time, data).await;
    }
    stack.wait_for_run(org_id, completed, "completed").await.unwrap();
    let ids = [failed, completed].map(|run_id| run_id.to_string());
    let comparison = json_of(&stack, ["runs", "diff", &ids[0], &ids[1], "--json"]).await;
    assert_eq!(comparison["run_id"], json!(ids));
    assert_eq!(comparison["run"]["status"], json!(["failed", "completed"]));
    assert_eq!(comparison["run"]["context[\"member.id\"]"], json!(["M 1", null]));
    let steps = comparison["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    assert_eq!((&steps[0]["matched_by"], &steps[0]["status"]), (&Value::Null, &json!(["completed", null])));
    assert_eq!(
        (&steps[1]["matched_by"], &steps[1]["status"]),
        (&json!("step_number"), &json!(["failed", "completed"]))
    );
    assert_eq!(steps[1]["duration_ms"], json!([3000, 2000]));
    assert_eq!(steps[1]["input_data"], json!({ "input_data.claim": [2, 9] }));
    assert_eq!(steps[1]["output_data"], json!({ "output_data": [null, { "paid": 7 }] }));
    assert_eq!(steps[1]["error_message"], json!(["no answer", null]));
    assert_eq!(steps[1]["error_details"], json!({ "error_details": [{ "code": 504 }, null] }));
    assert_eq!(steps[2]["status"], json!([null, "skipped"]));

    let table = printed(&stack, ["runs", "diff", &ids[0], &ids[1]]).await;
    for expected in ["FAILED", "COMPLETED", "failed → completed", "differ: claim", "3.0 s → 2.0 s", "second run only"]
    {
        assert!(table.contains(expected), "{expected:?} is not in:\n{table}");
    }
}

#[tokio::test]
async fn a_long_run_is_told_event_by_event() {
    let stack = stack().await;
    let (org_id, run_id) = (stack.register_org("long").await.unwrap(), new_run());
    size_reaches(&stack, org_id, 1).await;
    const EVENTS: usize = 3_000;
    let step_id = uuid::Uuid::new_v4();
    let sent = (0..EVENTS).map(|number| {
        let data = json!({ "step_id": step_id, "event": { "message": format!("line {number}") } });
        events::Event {
            org_id,
            event_id: uuid::Uuid::new_v4().try_into().unwrap(),
            event_type: "step.event_logged".to_owned(),
            schema_version: 1,
            subject_id: run_id.subject(),
            source: "/tests".to_owned(),
            occurred_at: events::time::parse(&at(number as i64)).unwrap(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            extensions: None,
            data: data.to_string().into(),
        }
    });
    let sent: Vec<_> = sent.collect();
    let mut tx = stack.pool().begin().await.unwrap();
    ledger::append::append(&mut tx, &sent.iter().collect::<Vec<_>>(), ledger::now(), ledger::append::Ids::LookedUp)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    super::projected(&stack, org_id).await;
    let lines = printed(&stack, ["runs", "history", &run_id.to_string(), "--json"]).await;
    assert_eq!(lines.lines().count(), EVENTS);
    // What an event adds to a list is told, and what had to go for it; not the list of 1,000 elements.
    let longest = lines.lines().map(str::len).max().unwrap();
    assert!(longest < 1_500, "{longest} bytes are told of one event");
}

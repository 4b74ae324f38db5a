//! What has to be known of which field: three tiers, merged when they are read, now and at any time.

mod merge;

use events::id::{OrgId, SHARED_ORG};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::{
    catalogue::projected,
    harness::{Printed, Sent, dead_letter_code, rebuild_same, run, shared_events, size, size_reaches, stack},
};

fn objects(printed: &Printed) -> Vec<Value> {
    assert!(printed.success, "{}", printed.stderr);
    printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn set(stack: &Stack, org_id: OrgId, event_type: &str, subject: Uuid, time: &str, data: Value) {
    Sent::valid(org_id, event_type, subject, data).with("ce-time", time).publish(stack).await;
}

#[tokio::test]
async fn only_the_shared_org_says_what_everyone_has_to_know_and_only_others_have_policies() {
    let stack = stack().await;
    let org_id = stack.register_org("rules").await.unwrap();
    let task_type = Uuid::new_v4();
    let requirement = json!({ "task_type_id": task_type, "field": "npi", "level": "required", "action": "add" });
    for (of, event_type, subject) in [
        (org_id, "requirement.set", task_type),
        (org_id, "payer_requirement.set", Uuid::new_v4()),
        (SHARED_ORG, "org_policy.set", SHARED_ORG.uuid()),
        (org_id, "org_policy.set", Uuid::new_v4()),
    ] {
        let sent = Sent::valid(of, event_type, subject, requirement.clone()).publish(&stack).await;
        assert_eq!(dead_letter_code(&stack, sent).await, "invalid_event", "{event_type}");
    }
    assert_eq!(size(&stack, org_id).await, 1);
}

#[tokio::test]
async fn a_rule_that_is_none_is_refused_with_the_place_and_a_protected_field_is_not() {
    let stack = stack().await;
    let bad = json!({ "field": "npi", "level": "conditional", "rule": { "and": [true, { "plan": "HMO" }] } });
    let sent = Sent::valid(SHARED_ORG, "requirement.set", Uuid::new_v4(), bad).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, sent).await, "invalid_event");
    let reason: String = sqlx::query_scalar("SELECT reason FROM ledger.dead_letter WHERE stream_seq = $1")
        .bind(sent as i64)
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert!(reason.contains("data.rule") && reason.contains("at /and/1: there is no operator \"plan\""), "{reason}");
    let secret = json!({ "$protected": { "v": 1, "alg": "a", "kid": "k", "ct": "x" } });
    let good =
        json!({ "field": "npi", "help_text": secret, "validation": secret, "level": "conditional", "rule": secret });
    Sent::valid(SHARED_ORG, "requirement.set", Uuid::new_v4(), good).publish(&stack).await;
    size_reaches(&stack, SHARED_ORG, shared_events() + 1).await;
}

#[tokio::test]
async fn a_run_is_shown_with_what_had_to_be_known_when_it_started() {
    let stack = stack().await;
    let org_id = stack.register_org("rules").await.unwrap();
    let [task_type, payer, run_id, silent] = std::array::from_fn(|_| Uuid::new_v4());
    let conditional =
        json!({ "field": "referral", "level": "conditional", "rule": { "==": [{ "var": "plan" }, "HMO"] } });
    set(&stack, SHARED_ORG, "requirement.set", task_type, "2026-01-01T00:00:00Z", conditional).await;
    let impossible = json!({ "field": "ratio", "level": "conditional", "rule": { "/": [1, { "var": "zero" }] } });
    set(&stack, SHARED_ORG, "requirement.set", task_type, "2026-01-01T00:00:00Z", impossible).await;
    let waived = json!({ "task_type_id": task_type, "field": "referral", "action": "waive" });
    set(&stack, org_id, "org_policy.set", org_id.uuid(), "2026-02-01T00:00:00Z", waived).await;
    let context = json!({ "context": { "task_type_id": task_type, "payer_id": payer, "plan": "HMO", "zero": 0 } });
    set(&stack, org_id, "run.started", run_id, "2026-01-15T00:00:00Z", context).await;
    let mute = json!({ "context": { "task_type_id": 7 } });
    set(&stack, org_id, "run.started", silent, "2026-03-01T00:00:00Z", mute).await;
    projected(&stack, SHARED_ORG, shared_events() + 2).await;
    projected(&stack, org_id, 4).await;

    let shown = run(&stack, ["runs", "show", &run_id.to_string(), "--requirements", "--json"]).await;
    let required = &objects(&shown)[0]["requirements"];
    assert_eq!(required["payer_id"], json!(payer));
    let fields = required["fields"].as_array().unwrap().iter();
    let of = |field: &Value| json!([field["field"], field["level"], field["level_from"], field["applies"]]);
    assert_eq!(
        fields.map(of).collect::<Vec<_>>(),
        [json!(["ratio", "conditional", "global", null]), json!(["referral", "conditional", "global", true])]
    );
    let shown = run(&stack, ["runs", "show", &run_id.to_string(), "--requirements"]).await;
    assert!(shown.stdout.contains("it was required") && shown.stdout.contains("has no answer"), "{}", shown.stdout);

    let silent = silent.to_string();
    let refused = run(&stack, ["runs", "show", &silent, "--requirements"]).await;
    assert!(!refused.success && refused.stderr.contains("--task-type"), "{}", refused.stderr);
    let told = ["runs", "show", &silent, "--requirements", "--task-type", &task_type.to_string(), "--json"];
    let fields = objects(&run(&stack, told).await)[0]["requirements"]["fields"].clone();
    assert_eq!((&fields[1]["level"], &fields[1]["level_from"]), (&json!("waived"), &json!("org")));
}

#[tokio::test]
async fn pages_of_changes_follow_one_another_also_those_of_one_time() {
    let stack = stack().await;
    let task_type = Uuid::new_v4();
    for number in 0..7 {
        let data = json!({ "field": format!("field_{number}"), "level": "optional" });
        set(&stack, SHARED_ORG, "requirement.set", task_type, "2026-01-01T00:00:00Z", data).await;
    }
    projected(&stack, SHARED_ORG, shared_events() + 7).await;
    let (mut fields, mut before) = (Vec::new(), "2027-01-01T00:00:00Z".to_owned());
    loop {
        let page = ["requirements", "log", "--task-type", &task_type.to_string(), "--limit", "3", "--before", &before];
        let printed = run(&stack, page).await.stdout;
        let named = printed.split_whitespace().filter(|word| word.starts_with("field_"));
        fields.extend(named.map(str::to_owned));
        let Some((_, more)) = printed.split_once("more: --before ") else { break };
        before = more.trim().to_owned();
    }
    fields.sort();
    assert_eq!(fields, (0..7).map(|number| format!("field_{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_became_known_later_is_not_in_what_was_known() {
    let stack = stack().await;
    let org_id = stack.register_org("rules").await.unwrap();
    let [task_type, payer, run_id] = std::array::from_fn(|_| Uuid::new_v4());
    let early = "2026-01-01T00:00:00Z";
    let required = json!({ "field": "npi", "level": "required" });
    set(&stack, SHARED_ORG, "requirement.set", task_type, early, required).await;
    projected(&stack, SHARED_ORG, shared_events() + 1).await;
    let context = json!({ "context": { "task_type_id": task_type, "payer_id": payer } });
    set(&stack, org_id, "run.started", run_id, "2026-01-02T00:00:00Z", context).await;
    projected(&stack, org_id, 2).await;
    // Told now, of the past.
    let data = json!({ "task_type_id": task_type, "payer_id": payer, "field": "npi", "action": "waive" });
    set(&stack, org_id, "org_policy.set", org_id.uuid(), early, data).await;
    set(&stack, SHARED_ORG, "requirement.set", task_type, early, json!({ "field": "dob", "level": "required" })).await;
    projected(&stack, org_id, 3).await;
    projected(&stack, SHARED_ORG, shared_events() + 2).await;

    let [org, task_type, payer, run_id] = [org_id.uuid(), task_type, payer, run_id].map(|id| id.to_string());
    let show = ["requirements", "show", "--org", &org, "--task-type", &task_type, "--payer", &payer, "--json"];
    let levels = |printed: &Printed| objects(printed).iter().map(|row| row["level"].clone()).collect::<Vec<_>>();
    assert_eq!(levels(&run(&stack, show).await), ["required", "waived"]);
    let [requirements, verb, rest @ ..] = show;
    let [org_flag, org_value, task_flag, task_value, payer_flag, payer_value, json_flag] = rest;
    let known = [
        requirements,
        verb,
        org_flag,
        org_value,
        task_flag,
        task_value,
        payer_flag,
        payer_value,
        json_flag,
        "--known-at",
        "2",
    ];
    assert_eq!(levels(&run(&stack, known).await), ["required"]);
    let fields = |printed: &Printed| objects(printed)[0]["requirements"]["fields"].as_array().unwrap().len();
    assert_eq!(fields(&run(&stack, ["runs", "show", &run_id, "--requirements", "--json"]).await), 2);
    let then = run(&stack, ["runs", "show", &run_id, "--requirements", "--json", "--known-at", "2"]).await;
    assert_eq!(fields(&then), 1);
    let nobody = Uuid::new_v4().to_string();
    let refused = run(&stack, ["requirements", "show", "--org", &nobody, "--task-type", &task_type]).await;
    assert!(!refused.success && refused.stderr.contains("there is no org"), "{}", refused.stderr);
}

#[tokio::test]
async fn requirements_and_their_changes_are_the_same_after_a_rebuild() {
    let stack = stack().await;
    let org_id = stack.register_org("rules").await.unwrap();
    let task_type = Uuid::new_v4();
    for (time, level) in [("2026-01-03T00:00:00Z", "required"), ("2026-01-02T00:00:00Z", "optional")] {
        let data = json!({ "field": "npi", "level": level, "validation": { "range": { "min": 1e0 } } });
        set(&stack, SHARED_ORG, "requirement.set", task_type, time, data).await;
        let data = json!({ "task_type_id": task_type, "field": "npi", "level": level, "action": "override" });
        set(&stack, org_id, "org_policy.set", org_id.uuid(), time, data).await;
    }
    projected(&stack, SHARED_ORG, shared_events() + 2).await;
    projected(&stack, org_id, 3).await;
    let log = ["requirements", "log", "--org", &org_id.to_string(), "--task-type", &task_type.to_string(), "--json"];
    let before = run(&stack, log).await;
    let levels: Vec<_> = objects(&before)
        .iter()
        .map(|change| json!([change["tier"], change["version"], change["before"]["level"], change["after"]["level"]]))
        .collect();
    for expected in [json!(["global", 2, "optional", "required"]), json!(["org", 1, null, "optional"])] {
        assert!(levels.contains(&expected), "{expected} is not in {levels:?}");
    }
    rebuild_same(&stack, "field_requirement").await;
    assert_eq!(run(&stack, log).await.stdout, before.stdout);
}

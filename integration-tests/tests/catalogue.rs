//! Reference data: everyone's and an org's own, secrets that must not get in, and lookup tables that are fed by
//! events.

use events::id::{OrgId, SHARED_ORG};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{
    Printed, Sent, dead_letter_code, eventually, idle_stack, new_run, rebuild_same, run, runledger, shared_events,
    size, size_reaches, stack,
};

mod secrets;

/// Publishes an event for each of the catalogue's tables, a screen, and a policy on a requirement; so many.
pub async fn publish_one_of_each(stack: &Stack, org_id: OrgId) -> i64 {
    let mut events = vec![
        ("portal_type.defined", Uuid::new_v4(), json!({ "name": "portal" })),
        ("endpoint.registered", Uuid::new_v4(), json!({ "name": "endpoint" })),
        ("task_type.defined", Uuid::new_v4(), json!({ "domain": "claim", "action": "submit", "display_name": "task" })),
        ("task_signature.recorded", Uuid::new_v4(), json!({ "source": "ai" })),
        (
            "micro_state.observed",
            Uuid::new_v4(),
            json!({ "url": "https://portal.example/", "title": "Sign in", "ui": {} }),
        ),
        (
            "org_policy.set",
            org_id.uuid(),
            json!({ "task_type_id": Uuid::new_v4(), "field": "npi", "action": "add", "level": "required" }),
        ),
    ];
    events.extend(events::payload::LookupTable::ALL.iter().map(|table| {
        ("lookup.value_added", org_id.uuid(), json!({ "lookup": table, "code": "own", "label": "Our own" }))
    }));
    let screen = events.iter().find(|(event_type, ..)| *event_type == "micro_state.observed").unwrap().1;
    events.push(("ui_transition.observed", screen, json!({ "from": screen, "action": "wait", "to": screen })));
    for (event_type, subject, data) in &events {
        Sent::valid(org_id, event_type, *subject, data.clone()).publish(stack).await;
    }
    events.len() as i64
}

/// Waits until every read model has the org's events, of which there are so many.
pub async fn projected(stack: &Stack, org_id: OrgId, events: i64) {
    size_reaches(stack, org_id, events).await;
    eventually("the events to be projected", async || {
        let mut conn = stack.pool().acquire().await.unwrap();
        (projector::projected_through(&mut conn, org_id).await.unwrap().get() >= events).then_some(())
    })
    .await;
}

fn objects(printed: &Printed) -> Vec<Value> {
    assert!(printed.success, "{}", printed.stderr);
    printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn add_channel(stack: &Stack, org_id: OrgId, code: &str) {
    let data = json!({ "lookup": "channel_type_lu", "code": code, "label": code });
    Sent::valid(org_id, "lookup.value_added", org_id.uuid(), data).publish(stack).await;
}

#[tokio::test]
async fn an_org_sees_its_own_entries_and_everyones_and_no_others() {
    let stack = stack().await;
    let (one, two) = (stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap());
    for (org_id, name) in [(SHARED_ORG, "common"), (one, "one's"), (two, "two's")] {
        let portal_type = Sent::valid(org_id, "portal_type.defined", Uuid::new_v4(), json!({ "name": name }));
        portal_type.publish(&stack).await;
        let data = json!({ "name": name, "secret_ref": "prod/portal", "settings": { "attempts_max": 3 } });
        Sent::valid(org_id, "endpoint.registered", Uuid::new_v4(), data).publish(&stack).await;
    }
    projected(&stack, SHARED_ORG, shared_events() + 2).await;
    projected(&stack, one, 3).await;
    projected(&stack, two, 3).await;
    let names = |printed: &Printed| objects(printed).iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    for kind in ["portal-types", "endpoints"] {
        let of_one = run(&stack, ["catalogue", "list", kind, "--org", &one.to_string(), "--json"]).await;
        assert_eq!(names(&of_one), ["common", "one's"], "{kind}");
        let of_all = run(&stack, ["catalogue", "list", kind, "--json"]).await;
        assert_eq!(names(&of_all), ["common", "one's", "two's"], "{kind}");
    }
    let printed = run(&stack, ["catalogue", "list", "--org", &two.to_string()]).await;
    for shown in ["everyone", "two's", "prod/portal", "channel_type_lu", "Web portal"] {
        assert!(printed.stdout.contains(shown), "{shown}: {}{}", printed.stdout, printed.stderr);
    }
    assert!(!printed.stdout.contains("one's"), "{}", printed.stdout);
}

#[tokio::test]
async fn an_alias_has_what_it_leaves_out_from_its_own_org_or_the_shared_one_and_a_cycle_is_flagged() {
    let stack = stack().await;
    let org_id = stack.register_org("aliases").await.unwrap();
    let [portal, task, endpoint] = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    let [everyones, alias, of_alias, here, there, lost] = std::array::from_fn(|_| Uuid::new_v4());
    for (of, subject, data) in [
        (
            SHARED_ORG,
            everyones,
            json!({ "portal_type_id": portal, "task_type_id": task, "step_labels": ["log in", "search"], "source": "human" }),
        ),
        (org_id, alias, json!({ "endpoint_id": endpoint, "source": "ai", "alias_of": everyones })),
        (org_id, of_alias, json!({ "step_labels": ["search"], "source": "human", "alias_of": alias })),
        (org_id, here, json!({ "source": "ai", "task_type_id": task, "alias_of": there })),
        (org_id, there, json!({ "source": "ai", "step_labels": ["dial"], "alias_of": here })),
        (org_id, lost, json!({ "source": "ai", "alias_of": Uuid::new_v4() })),
    ] {
        Sent::valid(of, "task_signature.recorded", subject, data).publish(&stack).await;
    }
    projected(&stack, SHARED_ORG, shared_events() + 1).await;
    projected(&stack, org_id, 6).await;
    let rows = run(&stack, ["catalogue", "list", "signatures", "--org", &org_id.to_string(), "--json"]).await;
    let of = |id: Uuid| objects(&rows).into_iter().find(|row| row["task_signature_id"] == *id.to_string()).unwrap();
    let resolved = |id: Uuid| {
        ["portal_type_id", "endpoint_id", "task_type_id", "step_labels", "flags"].map(|column| of(id)[column].clone())
    };
    let (steps, none) = (json!(["log in", "search"]), Value::Null);
    assert_eq!(resolved(everyones), [json!(portal), none.clone(), json!(task), steps.clone(), json!([])]);
    assert_eq!(resolved(alias), [none.clone(), json!(endpoint), json!(task), steps, json!([])]);
    assert_eq!(resolved(of_alias), [none.clone(), json!(endpoint), json!(task), json!(["search"]), json!([])]);
    assert_eq!(resolved(here), [none.clone(), none.clone(), json!(task), json!([]), json!(["alias_cycle"])]);
    assert_eq!(resolved(there), [none.clone(), none.clone(), none.clone(), json!(["dial"]), json!(["alias_cycle"])]);
    assert_eq!(resolved(lost)[4], json!(["alias_missing"]));

    // Recorded again without the alias, the cycle is gone.
    let mended =
        Sent::valid(org_id, "task_signature.recorded", there, json!({ "source": "human", "step_labels": ["dial"] }));
    mended.with("ce-time", "2026-01-05T11:00:00Z").publish(&stack).await;
    projected(&stack, org_id, 7).await;
    let rows = run(&stack, ["catalogue", "list", "signatures", "--org", &org_id.to_string(), "--json"]).await;
    let here = objects(&rows).into_iter().find(|row| row["task_signature_id"] == *here.to_string()).unwrap();
    assert_eq!((&here["step_labels"], &here["flags"]), (&json!(["dial"]), &json!([])));
}

#[tokio::test]
async fn a_channel_is_known_to_the_org_that_has_it_and_the_shared_orgs_to_all_also_after_a_rebuild() {
    let stack = stack().await;
    let (one, two) = (stack.register_org("one").await.unwrap(), stack.register_org("two").await.unwrap());
    add_channel(&stack, one, "own").await;
    add_channel(&stack, SHARED_ORG, "edi").await;
    projected(&stack, one, 2).await;
    projected(&stack, SHARED_ORG, shared_events() + 1).await;
    let before = lookups(&stack).await;
    assert_eq!(before.len() as i64, shared_events() - 1 + 2);

    let report = rebuild_same(&stack, "lookup").await;
    assert_eq!(report.projections[0].tables.len(), 7);
    assert_eq!(lookups(&stack).await, before);

    // The projector looks at the lookup tables every second: its look comes before these.
    let mut unknown = Vec::new();
    for (org_id, channel) in [(one, "own"), (one, "edi"), (one, "web"), (two, "own"), (two, "edi"), (two, "telex")] {
        let run_id = new_run();
        eventually("the channel to be looked up", async || {
            let data = json!({ "channel": channel });
            Sent::valid(org_id, "run.started", run_id.uuid(), data).publish(&stack).await;
            stack.wait_for_run(org_id, run_id, "running").await.unwrap();
            let is_unknown: bool =
                sqlx::query_scalar("SELECT 'unknown_channel' = ANY(flags) FROM user_workflow_run WHERE run_id = $1")
                    .bind(run_id)
                    .fetch_one(stack.pool())
                    .await
                    .unwrap();
            (is_unknown == matches!((org_id == two, channel), (true, "own") | (_, "telex"))).then_some(())
        })
        .await;
        unknown.push(run_id);
    }
    assert_eq!(unknown.len(), 6);
}

/// Every row of every lookup table.
async fn lookups(stack: &Stack) -> Vec<String> {
    let list = include_str!("../../projector/src/query/lookup_list.sql");
    sqlx::query_scalar(list).fetch_all(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn migrate_publishes_the_shared_reference_data_once_and_again_nothing() {
    let mut stack = idle_stack().await;
    let seeded: i64 = sqlx::query_scalar("SELECT count(*) FROM channel_type_lu WHERE org_id = $1")
        .bind(SHARED_ORG)
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(seeded, 3, "what the migrations made stands before any event does");
    let mut streamed = Vec::new();
    for _ in 0..2 {
        let migrated = run(&stack, ["migrate"]).await;
        assert!(migrated.success, "{}", migrated.stderr);
        streamed.push(messages(&stack).await);
    }
    assert_eq!(streamed, [shared_events() as u64; 2]);
    stack.start_services().unwrap();
    projected(&stack, SHARED_ORG, shared_events()).await;
    let migrated = run(&stack, ["migrate"]).await;
    assert!(migrated.success && migrated.stdout.contains("up to date"), "{}{}", migrated.stdout, migrated.stderr);
    assert_eq!((messages(&stack).await, size(&stack, SHARED_ORG).await), (shared_events() as u64, shared_events()));
    let proved = run(&stack, ["rebuild", "--all", "--dry-run"]).await;
    assert!(proved.success, "{}{}", proved.stdout, proved.stderr);
}

#[tokio::test]
async fn a_deployment_that_was_migrated_without_nats_gets_the_reference_data_from_its_ledger() {
    let mut stack = idle_stack().await;
    let mut migrate = runledger(&stack, ["migrate"]);
    let migrated = migrate.env_remove("RUNLEDGER_NATS_URL").output().await.unwrap();
    assert!(migrated.status.success());
    let before = lookups(&stack).await;
    stack.start_services().unwrap();
    projected(&stack, SHARED_ORG, shared_events()).await;
    let after = lookups(&stack).await;
    assert!(before.iter().all(|row| after.contains(row)), "{before:#?}\n{after:#?}");
    assert_eq!(after.len() as i64, shared_events() - 1);
}

async fn messages(stack: &Stack) -> u64 {
    let jetstream = async_nats::jetstream::new(stack.client().clone());
    jetstream.get_stream(ledger::stream::STREAM).await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn a_lookup_value_is_about_the_org_itself() {
    let stack = stack().await;
    let data = json!({ "lookup": "channel_type_lu", "code": "edi", "label": "EDI" });
    let about_another = Sent::valid(SHARED_ORG, "lookup.value_added", Uuid::new_v4(), data).publish(&stack).await;
    assert_eq!(dead_letter_code(&stack, about_another).await, "invalid_event");
}

//! A run at a point of one clock, the other, or both.

use events::id::{RunId, Seq};
use ledger::connection::{Database, Role};
use projector::{
    history::{self, KnownAt, Point},
    query,
};
use serde_json::{Value, json};

use super::{at, complaint, json_of, printed, projected, publish, story, told};
use crate::harness::{idle_stack, new_run, run, size_reaches, stack};

#[tokio::test]
async fn a_run_as_it_was_known_at_each_seq_is_what_the_read_model_showed_then() {
    let stack = stack().await;
    let (org_id, run_id) = (stack.register_org("prefixes").await.unwrap(), new_run());
    size_reaches(&stack, org_id, 1).await;
    let id = run_id.to_string();
    let mut shown = Vec::new();
    for (place, (event_type, time, data)) in story().into_iter().enumerate() {
        let seq = 2 + place as i64;
        publish(&stack, org_id, event_type, run_id, &time, data).await;
        size_reaches(&stack, org_id, seq).await;
        projected(&stack, org_id).await;
        shown.push((seq.to_string(), printed(&stack, ["runs", "show", &id, "--json"]).await));
    }
    for (seq, then) in &shown {
        assert_eq!(&printed(&stack, ["runs", "show", &id, "--json", "--known-at", seq]).await, then, "seq {seq}");
    }
    let distinct: std::collections::HashSet<_> = shown.iter().map(|(_, then)| then).collect();
    assert_eq!(distinct.len(), shown.len() - 1, "all but `custom.noted` should have changed something");
}

#[tokio::test]
async fn every_simulated_run_as_of_now_is_its_live_row_byte_for_byte() {
    let stack = stack().await;
    let arguments = ["simulate", "--runs", "120", "--orgs", "2", "--seed", "11", "--start", "2026-01-05T08:00:00Z"];
    printed(&stack, arguments).await;
    let heads = crate::harness::eventually("the simulation's end", async || {
        let mut conn = stack.pool().acquire().await.unwrap();
        let status = json_of(&stack, ["status", "--json"]).await;
        let is_done = status["stream_lag"] == 0
            && status["projections"].as_array().unwrap().iter().all(|projection| projection["lag_events"] == 0);
        if is_done { Some(ledger::read::heads(&mut conn).await.unwrap()) } else { None }
    })
    .await;
    let mut conn = Database::new(stack.database_url(), Role::Admin).unwrap().connect().await.unwrap();
    let mut compared = 0;
    for (org_id, head) in heads {
        let runs: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT run_id FROM user_workflow_run WHERE org_id = $1")
            .bind(org_id.uuid())
            .fetch_all(&mut conn)
            .await
            .unwrap();
        for run_id in runs.into_iter().map(|run_id| RunId::try_from(run_id).unwrap()) {
            let live = query::run_show(&mut conn, run_id, Some(org_id)).await.unwrap().pop().unwrap();
            let known_at = Some(KnownAt::Seq(head));
            let as_of = Some(events::time::parse("9999-12-31T23:59:59Z").unwrap());
            let points = [Point { known_at, as_of: None }, Point { as_of, known_at: None }];
            for shown in history::run_at(&mut conn, org_id, run_id, points).await.unwrap() {
                assert_eq!(shown.unwrap().get(), live.get(), "run {run_id}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 120, "{compared} runs");
}

#[tokio::test]
async fn json_that_can_be_written_in_several_ways_is_written_as_in_the_read_model() {
    let stack = stack().await;
    let (org_id, run_id) = (stack.register_org("exact").await.unwrap(), new_run());
    let id = run_id.to_string();
    let data = r#"{ "context" : {"n":[1.50,-0,1e2,12345678901234567890,0.1e-5,1.0E+3], "z":{"b":1,"a":null,"aa":"\u00e9\/\"\t\ud83d\ude00"}, "é":null}, "config_snapshot": {"$protected":{"v":1,"alg":"a","kid":"k","ct":"c"}},
        "external_id": "tab\there \u2028 ' \" \\ , {}" }"#;
    super::Sent::valid(org_id, "run.started", run_id.uuid(), Value::Null)
        .with("ce-time", "0001-01-01T00:00:00.000001Z")
        .carrying(data)
        .publish(&stack)
        .await;
    let step = json!({ "step_id": uuid::Uuid::new_v4(), "input_data": [1.0, null, "x"], "metadata": {} });
    publish(&stack, org_id, "step.started", run_id, &at(0), step).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    crate::harness::eventually("the step", async || {
        (stack.run(org_id, run_id).await.unwrap()?["steps"].as_array()?.len() == 1).then_some(())
    })
    .await;
    size_reaches(&stack, org_id, 3).await;
    projected(&stack, org_id).await;
    let live = printed(&stack, ["runs", "show", &id, "--json"]).await;
    assert_eq!(printed(&stack, ["runs", "show", &id, "--json", "--known-at", "3"]).await, live);
    assert!(live.contains("1.50") && live.contains("12345678901234567890"), "{live}");
}

#[tokio::test]
async fn a_late_event_is_seen_by_the_clock_of_what_happened_and_not_by_the_clock_of_what_was_known() {
    let stack = stack().await;
    let (org_id, run_id) = told(&stack, "late").await;
    let id = run_id.to_string();
    // `run.created` happened first, at 10:00:00, and was recorded third, with seq 4.
    let happened = json_of(&stack, ["runs", "show", &id, "--json", "--as-of", &at(0)]).await;
    assert_eq!((&happened["status"], &happened["config_snapshot"]["retries"]), (&json!("pending"), &json!(3)));
    let known = json_of(&stack, ["runs", "show", &id, "--json", "--known-at", "3"]).await;
    assert_eq!((&known["status"], &known["config_snapshot"]), (&json!("running"), &json!({})));
    assert_eq!(known["steps"].as_array().unwrap().len(), 1);
    // Both: of what had happened by 10:00:01, what was known at seq 3 is the start alone.
    let both = json_of(&stack, ["runs", "show", &id, "--json", "--as-of", &at(1), "--known-at", "3"]).await;
    assert_eq!((&both["status"], &both["config_snapshot"]), (&json!("running"), &json!({})));
    assert_eq!(both["steps"], json!([]));
    // The ledger's clock, as a time.
    let recorded: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("SELECT recorded_at FROM ledger.event WHERE org_id = $1 AND seq = 4")
            .bind(org_id.uuid())
            .fetch_one(stack.pool())
            .await
            .unwrap();
    let by_time = json_of(&stack, ["runs", "show", &id, "--json", "--known-at", &events::time::format(recorded)]).await;
    assert_eq!(by_time["config_snapshot"]["retries"], 3);
    let text = printed(&stack, ["runs", "show", &id, "--as-of", &at(0), "--known-at", "4"]).await;
    assert!(text.contains("PENDING") && text.contains("by 2026-01-05T10:00:00Z") && text.contains("seq 4"), "{text}");
}

#[tokio::test]
async fn a_tenant_sees_its_own_run_as_it_was_and_nobody_elses() {
    let stack = stack().await;
    let (org_id, run_id) = told(&stack, "own").await;
    let other = stack.register_org("other").await.unwrap();
    size_reaches(&stack, other, 1).await;
    let (id, org, other) = (run_id.to_string(), org_id.to_string(), other.to_string());
    let point = ["--as-of", &at(6), "--json"];
    let as_admin = run(&stack, ["runs", "show", &id, point[0], point[1], point[2]]).await.stdout;
    let arguments = ["runs", "show", &id, point[0], point[1], point[2], "--org", &org];
    assert_eq!(printed(&stack, arguments).await, as_admin);
    assert!(as_admin.contains("running"), "{as_admin}");
    for arguments in [
        ["runs", "show", &id, "--as-of", &at(6), "--org", &other],
        ["runs", "show", &id, "--known-at", "9", "--org", &other],
        ["runs", "diff", &id, "--from", &at(0), "--org", &other],
    ] {
        let said = complaint(&stack, arguments).await;
        assert!(said.contains(&format!("there is no run {id}")), "{arguments:?}: {said}");
    }
    let said = complaint(&stack, ["runs", "history", &id, "--org", &other]).await;
    assert!(said.contains("there is no run"), "{said}");
}

#[tokio::test]
async fn an_event_whose_row_postgresql_refused_is_left_out_of_the_past_too() {
    let stack = stack().await;
    let (org_id, run_id) = (stack.register_org("parked").await.unwrap(), new_run());
    publish(&stack, org_id, "run.started", run_id, &at(0), json!({ "context": { "a": 1 } })).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    // The door refuses such a number; `jsonb` does too, when the row is written.
    let planted = events::Event {
        org_id,
        event_id: uuid::Uuid::new_v4().try_into().unwrap(),
        event_type: "run.context_added".to_owned(),
        schema_version: 1,
        subject_id: run_id.subject(),
        source: "/planted".to_owned(),
        occurred_at: events::time::parse(&at(1)).unwrap(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        extensions: None,
        data: r#"{"context":{"n":1e200000}}"#.into(),
    };
    let mut tx = stack.pool().begin().await.unwrap();
    ledger::append::append(&mut tx, &[&planted], ledger::now(), ledger::append::Ids::LookedUp).await.unwrap();
    tx.commit().await.unwrap();
    publish(&stack, org_id, "run.completed", run_id, &at(2), json!({})).await;
    let live = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    assert_eq!(live["flags"], json!(["unfoldable_event"]));
    let (id, org) = (run_id.to_string(), org_id.to_string());
    let as_admin = printed(&stack, ["runs", "show", &id, "--known-at", "4", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&as_admin).unwrap(), live);
    assert_eq!(printed(&stack, ["runs", "show", &id, "--known-at", "4", "--json", "--org", &org]).await, as_admin);
    let before = json_of(&stack, ["runs", "show", &id, "--known-at", "2", "--json"]).await;
    assert_eq!(before["flags"], json!([]));
    let history = printed(&stack, ["runs", "history", &id, "--json"]).await;
    assert_eq!(history.lines().count(), 3, "{history}");
}

#[tokio::test]
async fn a_point_at_which_there_is_no_run_is_explained() {
    let stack = stack().await;
    let (org_id, run_id) = told(&stack, "explained").await;
    let (id, unknown) = (run_id.to_string(), new_run().to_string());
    for arguments in [
        ["runs", "show", &id, "--as-of", "2026-01-05T09:59:59Z"],
        ["runs", "show", &id, "--known-at", "1"],
        ["runs", "show", &id, "--known-at", "2026-01-05T10:00:00Z"],
    ] {
        let said = complaint(&stack, arguments).await;
        let expected = ["did not exist by then", "happened at 2026-01-05T10:00:00Z", "seq 2"];
        assert!(expected.iter().all(|expected| said.contains(expected)), "{arguments:?}: {said}");
    }
    let said = complaint(&stack, ["runs", "diff", &id, "--from", "0", "--to", "1"]).await;
    assert!(said.contains("did not exist by then"), "{said}");
    for arguments in [
        ["runs", "show", &unknown, "--known-at", "9"],
        ["runs", "diff", &unknown, "--from", "1"],
        ["runs", "diff", &id, &unknown, "--json"],
    ] {
        let said = complaint(&stack, arguments).await;
        assert!(said.contains(&format!("there is no run {unknown}")), "{arguments:?}: {said}");
    }
    // A subject of another kind is no run, also where the id is known.
    let org = org_id.to_string();
    for arguments in [
        ["runs", "show", &org, "--org", &org],
        ["runs", "show", &org, "--known-at", "1"],
        ["runs", "history", &org, "--org", &org],
    ] {
        let said = complaint(&stack, arguments).await;
        assert!(said.contains(&format!("there is no run {org}")), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn a_seq_beyond_the_ledgers_end_is_refused_and_a_time_to_come_is_remarked_on() {
    let stack = stack().await;
    let (org_id, run_id) = told(&stack, "to come").await;
    let id = run_id.to_string();
    for arguments in [
        // Meant as a day.
        ["runs", "show", &id, "--known-at", "20260301"],
        ["runs", "diff", &id, "--from", "15"],
    ] {
        let said = complaint(&stack, arguments).await;
        assert!(said.contains(&format!("the ledger of org {org_id} ends at seq 14")), "{arguments:?}: {said}");
    }
    let said = complaint(&stack, ["runs", "diff", &id, "--from", "3", "--to", "15"]).await;
    assert!(said.contains("ends at seq 14"), "{said}");
    let live = printed(&stack, ["runs", "show", &id, "--json"]).await;
    for clock in ["--known-at", "--as-of"] {
        let shown = run(&stack, ["runs", "show", &id, "--json", clock, "9999-01-01T00:00:00Z"]).await;
        assert_eq!(shown.stdout, live, "{clock}");
        assert!(shown.stderr.contains("9999-01-01T00:00:00Z is yet to come"), "{clock}: {}", shown.stderr);
    }
    let shown = run(&stack, ["runs", "show", &id, "--json", "--known-at", "14"]).await;
    assert_eq!((shown.stdout, shown.stderr), (live, String::new()));
}

#[tokio::test]
async fn a_run_id_that_occurs_in_several_orgs_needs_its_org() {
    let stack = stack().await;
    let (one, run_id) = told(&stack, "one").await;
    let other = stack.register_org("other").await.unwrap();
    size_reaches(&stack, other, 1).await;
    super::tell(&stack, other, run_id).await;
    let id = run_id.to_string();
    let said = complaint(&stack, ["runs", "show", &id, "--known-at", "9"]).await;
    assert!(said.contains("--org") && said.contains(&one.to_string()) && said.contains(&other.to_string()), "{said}");
    let shown = json_of(&stack, ["runs", "show", &id, "--known-at", "9", "--json", "--org", &other.to_string()]).await;
    assert_eq!(shown["org_id"], json!(other));
}

#[tokio::test]
async fn a_point_that_is_none_is_refused_before_anything_is_asked() {
    let stack = idle_stack().await;
    let id = new_run().to_string();
    for (arguments, expected) in [
        (["show", &id, "--as-of", "yesterday"], "RFC 3339"),
        (["show", &id, "--as-of", "17"], "RFC 3339"),
        (["show", &id, "--as-of", "2026-01-05"], "RFC 3339"),
        (["show", &id, "--known-at", "2026-02-30T00:00:00Z"], "no such day"),
        (["show", &id, "--known-at=-1", "--json"], "or a seq"),
        (["show", &id, "--known-at", "99999999999999999999"], "seq"),
        (["diff", &id, "--from", "dawn"], "RFC 3339"),
        (["diff", &id, "--to", "3"], "--from"),
        (["diff", &id, &id, "--from=3"], "--from"),
    ] {
        let printed = run(&stack, ["runs", arguments[0], arguments[1], arguments[2], arguments[3]]).await;
        assert!(!printed.success && printed.stderr.contains(expected), "{arguments:?}: {}", printed.stderr);
    }
    let [earlier, later] = [at(0), at(1)];
    for (from, to, expected) in [
        ("3", later.as_str(), "two clocks"),
        (&earlier, "3", "--known"),
        ("3", "2", "the earlier point first"),
        (&later, &earlier, "the earlier point first"),
    ] {
        let said = complaint(&stack, ["runs", "diff", &id, "--from", from, "--to", to]).await;
        assert!(said.contains(expected), "{from} {to}: {said}");
    }
    let said = complaint(&stack, ["runs", "diff", &id]).await;
    assert!(said.contains("another run") && said.contains("--from"), "{said}");
}

#[tokio::test]
async fn a_run_without_a_row_is_found_by_its_events() {
    let stack = stack().await;
    let (org_id, run_id) = told(&stack, "rowless").await;
    let (id, org) = (run_id.to_string(), org_id.to_string());
    let live = printed(&stack, ["runs", "show", &id, "--json"]).await;
    sqlx::query("DELETE FROM user_workflow_run WHERE run_id = $1")
        .bind(run_id.uuid())
        .execute(stack.pool())
        .await
        .unwrap();
    assert_eq!(printed(&stack, ["runs", "show", &id, "--json", "--known-at", "14"]).await, live);
    let said = complaint(&stack, ["runs", "show", &id]).await;
    assert!(said.contains("not projected yet") && said.contains(&format!("--org {org}")), "{said}");
    let mut conn = stack.pool().acquire().await.unwrap();
    let beginning = history::beginning(&mut conn, org_id, run_id).await.unwrap().unwrap();
    assert_eq!((beginning.seq, beginning.occurred_at), (Seq::new(2), events::time::parse(&at(0)).unwrap()));
}

#[tokio::test]
async fn a_run_that_is_retracted_is_shown_as_it_was_and_still_counts_where_its_id_occurs_twice() {
    let stack = stack().await;
    let (one, run_id) = told(&stack, "one").await;
    let id = run_id.to_string();
    let live = printed(&stack, ["runs", "show", &id, "--json"]).await;
    publish(&stack, one, "run.retracted", run_id, &at(20), json!({ "reason": "sent twice" })).await;
    size_reaches(&stack, one, 15).await;
    projected(&stack, one).await;
    // As its tenant.
    let org = one.to_string();
    for (clock, before, after) in [("--known-at", "14", "15"), ("--as-of", &at(19), &at(20))] {
        assert_eq!(printed(&stack, ["runs", "show", &id, "--json", clock, before, "--org", &org]).await, live);
        let said = complaint(&stack, ["runs", "show", &id, clock, after, "--org", &org]).await;
        assert!(said.contains("after it was retracted") && said.contains(&format!("--org {org}")), "{clock}: {said}");
    }
    let said = complaint(&stack, ["runs", "show", &id, "--org", &org]).await;
    assert!(said.contains("it was retracted") && said.contains("runs reinstate"), "{said}");

    let other = stack.register_org("other").await.unwrap();
    size_reaches(&stack, other, 1).await;
    super::tell(&stack, other, run_id).await;
    for arguments in [["runs", "show", &id, "--known-at", "9"], ["runs", "diff", &id, "--from", "9"]] {
        let said = complaint(&stack, arguments).await;
        let names = |org_id: events::id::OrgId| said.contains(&org_id.to_string());
        assert!(said.contains("several orgs") && names(one) && names(other), "{arguments:?}: {said}");
    }
    let database = Database::new(stack.database_url(), Role::Reader).unwrap().of_org(one);
    let mut tenant = database.connect().await.unwrap();
    let runs = ledger::correction::runs_of_id(&mut tenant, run_id, None).await.unwrap();
    assert_eq!(runs.iter().map(|run| (run.org_id, run.is_retracted())).collect::<Vec<_>>(), [(one, true)]);
}

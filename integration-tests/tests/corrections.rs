//! Runs taken off the record and brought back, by hand and by import: the read models follow, and the
//! ledger keeps everything.

mod imports;

use events::id::{OrgId, RunId};
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, append, eventually, new_run, planted, run, runledger, size, size_reaches, stack};

/// The rows of a run and of its steps as text: the same bytes for the same rows.
async fn rows(stack: &Stack, org_id: OrgId, run_id: RunId) -> Vec<String> {
    let query = "SELECT row_to_json(run)::text FROM user_workflow_run run WHERE org_id = $1 AND run_id = $2
                 UNION ALL
                 (SELECT row_to_json(step)::text FROM user_workflow_run_step step
                  WHERE org_id = $1 AND run_id = $2 ORDER BY step_id)";
    sqlx::query_scalar(query).bind(org_id.uuid()).bind(run_id.uuid()).fetch_all(stack.pool()).await.unwrap()
}

/// How many events of this type an org's ledger holds.
async fn count(stack: &Stack, org_id: OrgId, event_type: &str) -> i64 {
    let query = "SELECT count(*) FROM ledger.event WHERE org_id = $1 AND event_type = $2";
    sqlx::query_scalar(query).bind(org_id.uuid()).bind(event_type).fetch_one(stack.pool()).await.unwrap()
}

/// Waits until the projections have folded all of an org's ledger.
async fn caught_up(stack: &Stack, org_id: OrgId) {
    eventually("the projections", async || {
        let mut conn = stack.pool().acquire().await.unwrap();
        let projected = projector::projected_through(&mut conn, org_id).await.unwrap();
        (projected.get() >= size(stack, org_id).await).then_some(())
    })
    .await;
}

/// Publishes an event about the run at this second.
async fn tell(stack: &Stack, org_id: OrgId, run_id: RunId, second: u32, event_type: &str, data: Value) {
    let sent = Sent::valid(org_id, event_type, run_id.uuid(), data);
    sent.with("ce-time", &format!("2026-01-05T10:00:{second:02}Z")).publish(stack).await;
}

/// A run with two steps, in an org of its own, folded.
async fn told_run(stack: &Stack) -> (OrgId, RunId) {
    let (org_id, run_id) = (stack.register_org("St. Mary").await.unwrap(), new_run());
    let shots = json!({ "step_id": Uuid::from_u128(1), "screenshot": { "uri": "s3://shots/1" } });
    tell(stack, org_id, run_id, 0, "run.started", json!({ "context": { "payer": "Blue Harbor", "n": 1.10 } })).await;
    tell(stack, org_id, run_id, 1, "step.started", json!({ "step_id": Uuid::from_u128(1) })).await;
    tell(stack, org_id, run_id, 2, "step.screenshot_captured", shots).await;
    tell(stack, org_id, run_id, 3, "step.completed", json!({ "step_id": Uuid::from_u128(2), "output_data": [1] }))
        .await;
    tell(stack, org_id, run_id, 4, "run.completed", json!({})).await;
    size_reaches(stack, org_id, 6).await;
    caught_up(stack, org_id).await;
    (org_id, run_id)
}

async fn command<const N: usize>(stack: &Stack, arguments: [&str; N]) -> Value {
    let printed = run(stack, arguments).await;
    assert!(printed.success, "{arguments:?}: {}", printed.stderr);
    serde_json::from_str(&printed.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", printed.stdout))
}

async fn assert_intact(stack: &Stack) {
    let verified = run(stack, ["verify"]).await;
    assert!(verified.success, "{}{}", verified.stdout, verified.stderr);
    let refused: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ledger.dead_letter").fetch_one(stack.pool()).await.unwrap();
    assert_eq!(refused, 0, "events were refused");
}

#[tokio::test]
async fn a_retracted_run_leaves_the_read_models_and_a_reinstated_one_is_what_it_was() {
    let stack = stack().await;
    let (org_id, run_id) = told_run(&stack).await;
    let (before, id) = (rows(&stack, org_id, run_id).await, run_id.to_string());
    assert_eq!(before.len(), 3);

    let by = Uuid::from_u128(7).to_string();
    let retract = ["runs", "retract", &id, "--reason", "sent twice", "--by", &by, "--json"];
    let retracted = command(&stack, retract).await;
    assert_eq!(retracted, json!({ "org_id": org_id, "run_id": run_id, "retracted": true, "changed": true }));
    assert_eq!(rows(&stack, org_id, run_id).await, Vec::<String>::new());
    assert!(!run(&stack, ["runs", "show", &id]).await.success);
    assert_eq!(size(&stack, org_id).await, 7, "the ledger keeps all, and the retraction");
    let data: Value =
        sqlx::query_scalar("SELECT data FROM ledger.event WHERE org_id = $1 AND event_type = 'run.retracted'")
            .bind(org_id.uuid())
            .fetch_one(stack.pool())
            .await
            .unwrap();
    assert_eq!(data, json!({ "reason": "sent twice", "retracted_by": by }));
    assert_eq!(command(&stack, retract).await["changed"], false);
    assert_eq!(size(&stack, org_id).await, 7, "what is retracted is not retracted again");

    assert_eq!(command(&stack, ["runs", "reinstate", &id, "--json"]).await["changed"], true);
    assert_eq!(rows(&stack, org_id, run_id).await, before);
    assert_eq!(command(&stack, ["runs", "reinstate", &id, "--json"]).await["changed"], false);
    assert_intact(&stack).await;
}

#[tokio::test]
async fn a_retracted_run_is_still_known_before_its_retraction_and_a_rebuild_agrees() {
    let stack = stack().await;
    let (org_id, run_id) = told_run(&stack).await;
    let id = run_id.to_string();
    let live = run(&stack, ["runs", "show", &id, "--json"]).await.stdout;
    command(&stack, ["runs", "retract", &id, "--reason", "sent twice", "--json"]).await;

    let known = run(&stack, ["runs", "show", &id, "--json", "--known-at", "6"]).await;
    assert_eq!((known.stdout, known.success), (live.clone(), true), "{}", known.stderr);
    let gone = run(&stack, ["runs", "show", &id]).await;
    assert!(!gone.success && gone.stderr.contains("it was retracted"), "{}", gone.stderr);
    let gone = run(&stack, ["runs", "show", &id, "--known-at", "7"]).await;
    assert!(!gone.success && gone.stderr.contains("as after it was retracted"), "{}", gone.stderr);
    let history = run(&stack, ["runs", "history", &id, "--json"]).await;
    let last: Value = serde_json::from_str(history.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event_type"], &last["run"]["status"]), (&json!("run.retracted"), &json!(["completed", null])));
    assert!(run(&stack, ["rebuild", "--all", "--dry-run"]).await.success, "a retracted run has no rows by its events");

    command(&stack, ["runs", "reinstate", &id, "--json"]).await;
    assert!(run(&stack, ["rebuild", "--all"]).await.success);
    assert_eq!(run(&stack, ["runs", "show", &id, "--json"]).await.stdout, live);
    assert_eq!(rows(&stack, org_id, run_id).await.len(), 3);
}

#[tokio::test]
async fn of_a_retraction_and_a_reinstatement_the_later_counts_in_whatever_order_they_arrive() {
    let stack = stack().await;
    let (org_id, run_id) = told_run(&stack).await;
    let before = rows(&stack, org_id, run_id).await;
    tell(&stack, org_id, run_id, 20, "run.reinstated", json!({})).await;
    tell(&stack, org_id, run_id, 10, "run.retracted", json!({ "reason": "sent twice" })).await;
    size_reaches(&stack, org_id, 8).await;
    caught_up(&stack, org_id).await;
    assert_eq!(rows(&stack, org_id, run_id).await, before);

    tell(&stack, org_id, run_id, 30, "run.retracted", json!({ "reason": "sent twice" })).await;
    tell(&stack, org_id, run_id, 25, "run.reinstated", json!({})).await;
    size_reaches(&stack, org_id, 10).await;
    caught_up(&stack, org_id).await;
    assert_eq!(rows(&stack, org_id, run_id).await, Vec::<String>::new());
    assert_intact(&stack).await;
}

#[tokio::test]
async fn what_happens_to_a_retracted_run_shows_once_it_is_reinstated_also_after_a_restart() {
    let mut stack = stack().await;
    let (org_id, run_id) = told_run(&stack).await;
    let before = rows(&stack, org_id, run_id).await;
    tell(&stack, org_id, run_id, 10, "run.retracted", json!({ "reason": "sent twice" })).await;
    size_reaches(&stack, org_id, 7).await;
    tell(&stack, org_id, run_id, 3, "step.started", json!({ "step_id": Uuid::from_u128(3) })).await;
    size_reaches(&stack, org_id, 8).await;
    caught_up(&stack, org_id).await;
    assert_eq!(rows(&stack, org_id, run_id).await, Vec::<String>::new());

    // Nothing is cached any more: the run is folded anew from the ledger.
    stack.stop_services().await;
    stack.start_services().unwrap();
    tell(&stack, org_id, run_id, 11, "run.reinstated", json!({})).await;
    size_reaches(&stack, org_id, 9).await;
    caught_up(&stack, org_id).await;
    let after = rows(&stack, org_id, run_id).await;
    assert_eq!((&after[..3], after.len()), (&before[..], 4));
    assert_intact(&stack).await;
}

#[tokio::test]
async fn an_event_whose_row_postgresql_refuses_is_parked_whether_or_not_its_run_is_retracted() {
    let stack = stack().await;
    // The door refuses such a number; `jsonb` does too, when the row is written.
    let poison = async |org_id, run_id: RunId| {
        let said = planted(org_id, "run.context_added", run_id.uuid(), r#"{"context":{"n":1e200000}}"#);
        append(&stack, &said).await
    };
    let parked = async |org_id: OrgId| -> Vec<i64> {
        caught_up(&stack, org_id).await;
        let seqs = sqlx::query_scalar("SELECT seq FROM ledger.parked WHERE org_id = $1 ORDER BY seq");
        seqs.bind(org_id.uuid()).fetch_all(stack.pool()).await.unwrap()
    };
    let mut shown = Vec::new();
    for poison_first in [true, false] {
        let (org_id, run_id) = told_run(&stack).await;
        let mut seq = 0;
        if poison_first {
            seq = poison(org_id, run_id).await;
        }
        tell(&stack, org_id, run_id, 10, "run.retracted", json!({ "reason": "sent twice" })).await;
        size_reaches(&stack, org_id, 7 + i64::from(poison_first)).await;
        caught_up(&stack, org_id).await;
        if !poison_first {
            seq = poison(org_id, run_id).await;
        }
        assert_eq!(parked(org_id).await, [seq]);
        // As if nobody had noticed before: a rebuild does, though the run has no rows.
        sqlx::query("DELETE FROM ledger.parked").execute(stack.pool()).await.unwrap();
        assert!(run(&stack, ["rebuild", "user_workflow_run"]).await.success);
        assert_eq!(parked(org_id).await, [seq]);

        tell(&stack, org_id, run_id, 11, "run.reinstated", json!({})).await;
        size_reaches(&stack, org_id, 9).await;
        assert_eq!(parked(org_id).await, [seq]);
        let back = stack.run(org_id, run_id).await.unwrap().unwrap();
        assert_eq!(back["flags"], json!(["unfoldable_event"]));
        shown.push((back["status"].clone(), back["context"].clone(), back["steps"].as_array().unwrap().len()));
    }
    assert_eq!(shown[0], shown[1]);
}

#[tokio::test]
async fn a_correction_that_the_ledger_refused_is_no_success() {
    let stack = stack().await;
    let (org_id, run_id) = told_run(&stack).await;
    // The answer must be later still, and the ledger takes nothing from so far ahead.
    let said = planted(org_id, "run.retracted", run_id.uuid(), r#"{"reason":"sent twice"}"#);
    append(&stack, &events::Event { occurred_at: ledger::now() + chrono::TimeDelta::hours(25), ..said }).await;
    let refused = run(&stack, ["runs", "reinstate", &run_id.to_string()]).await;
    assert!(!refused.success, "{}", refused.stdout);
    let letter: i64 = sqlx::query_scalar("SELECT dead_letter_id FROM ledger.dead_letter WHERE code = 'time_in_future'")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert!(refused.stderr.contains(&format!("dead-letters show {letter}")), "{}", refused.stderr);
    assert!(refused.stderr.contains(&run_id.to_string()), "{}", refused.stderr);
}

#[tokio::test]
async fn a_run_that_the_ledger_has_yet_to_read_can_be_retracted() {
    let mut stack = stack().await;
    let (org_id, run_id) = (stack.register_org("St. Mary").await.unwrap(), new_run());
    size_reaches(&stack, org_id, 1).await;
    stack.stop_services().await;
    tell(&stack, org_id, run_id, 1, "run.started", json!({})).await;
    let id = run_id.to_string();
    let mut retract = runledger(&stack, ["runs", "retract", &id, "--reason", "sent twice", "--json"]);
    let retract = retract.env("USER", "ada").stdout(std::process::Stdio::piped()).spawn().unwrap();
    eventually("the command to look how far the ledger is", async || {
        let query = "SELECT true FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%ingest_cursor%'
                     LIMIT 1";
        sqlx::query_scalar::<_, bool>(query).fetch_optional(stack.pool()).await.unwrap()
    })
    .await;
    stack.start_services().unwrap();
    let retracted: Value = serde_json::from_slice(&retract.wait_with_output().await.unwrap().stdout).unwrap();
    assert_eq!(retracted["changed"], true);
    assert_eq!(rows(&stack, org_id, run_id).await, Vec::<String>::new());
    let who: Value =
        sqlx::query_scalar("SELECT extensions FROM ledger.event WHERE org_id = $1 AND event_type = 'run.retracted'")
            .bind(org_id.uuid())
            .fetch_one(stack.pool())
            .await
            .unwrap();
    assert_eq!(who, json!({ "authid": "ada", "authtype": "user" }), "nobody was named, so the account is on record");
}

#[tokio::test]
async fn a_run_that_nobody_knows_cannot_be_retracted() {
    let stack = stack().await;
    let id = new_run().to_string();
    let refused = run(&stack, ["runs", "retract", &id, "--reason", "x"]).await;
    assert!(!refused.success);
    assert!(refused.stderr.contains(&id) && refused.stderr.contains("runs list"), "{}", refused.stderr);
    let no_reason = run(&stack, ["runs", "retract", &id]).await;
    assert!(!no_reason.success && no_reason.stderr.contains("--reason"), "{}", no_reason.stderr);
}

#[tokio::test]
async fn an_import_id_that_fits_no_index_is_kept_and_stops_nothing() {
    let stack = stack().await;
    let (org_id, run_id) = (stack.register_org("St. Mary").await.unwrap(), new_run());
    // Not one letter repeated: that would be compressed until it fits.
    let random: String = (0..1_500).map(|_| Uuid::new_v4().simple().to_string()).collect();
    let sent = Sent::valid(org_id, "run.started", run_id.uuid(), json!({}));
    sent.with("ce-importid", &random).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    assert_eq!(run(&stack, ["import", "list", "--json"]).await.stdout, "");
    assert_intact(&stack).await;
}

#[tokio::test]
async fn both_versions_of_a_screenshot_fill_one_column() {
    let stack = stack().await;
    let (org_id, run_id, step_id) = (stack.register_org("St. Mary").await.unwrap(), new_run(), Uuid::from_u128(1));
    let one = json!({ "step_id": step_id, "screenshot": { "uri": "s3://shots/1", "of": "page" } });
    let several = json!({ "step_id": step_id, "screenshots": [{ "uri": "s3://shots/3" }, { "uri": "s3://shots/2" }] });
    tell(&stack, org_id, run_id, 1, "step.screenshot_captured", one).await;
    Sent::valid(org_id, "step.screenshot_captured", run_id.uuid(), several)
        .with("ce-dataschema", "urn:runledger:step.screenshot_captured:2")
        .with("ce-id", &Uuid::from_u128(9).to_string())
        .publish(&stack)
        .await;
    size_reaches(&stack, org_id, 3).await;
    caught_up(&stack, org_id).await;
    let versions: Vec<i16> =
        sqlx::query_scalar("SELECT schema_version FROM ledger.event WHERE org_id = $1 ORDER BY seq")
            .bind(org_id.uuid())
            .fetch_all(stack.pool())
            .await
            .unwrap();
    assert_eq!(versions, [1, 1, 2], "an event keeps the version that it was written with");
    let step = stack.step(org_id, run_id, step_id.try_into().unwrap()).await.unwrap().unwrap();
    let shown: Vec<_> = step["screenshots"].as_array().unwrap().iter().map(|shot| shot["uri"].clone()).collect();
    assert_eq!(shown, ["s3://shots/3", "s3://shots/2", "s3://shots/1"]);
    assert_eq!(step["screenshots"][2]["of"], "page");
    assert_eq!(step["screenshots"][1]["event_id"], Uuid::from_u128(9).to_string());
    assert_intact(&stack).await;
}

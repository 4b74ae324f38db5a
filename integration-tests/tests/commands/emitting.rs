//! `runledger emit` and `runledger org`.

use std::{path::PathBuf, process::Stdio};

use events::id::OrgId;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::Ended;
use crate::harness::{eventually, idle_stack, new_run, runledger, size_reaches, stack};

/// An event as a line of a file.
fn line(org_id: OrgId, event_type: &str, subject_id: Uuid, data: &str) -> String {
    let id = Uuid::new_v4();
    let attributes = format!(r#""specversion":"1.0","id":"{id}","source":"/file","time":"2026-03-01T08:30:00Z""#);
    format!(r#"{{{attributes},"type":"{event_type}","subject":"{subject_id}","orgid":"{org_id}","data":{data}}}"#)
}

/// A file that is gone with the test.
struct TestFile(PathBuf);

impl TestFile {
    fn of(text: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.ndjson", Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_file_of_events_is_published_and_publishing_it_again_changes_nothing() {
    let stack = stack().await;
    let org_id = stack.register_org("file").await.unwrap();
    let run_id = new_run();
    let lines = [
        line(org_id, "run.started", run_id.uuid(), r#"{ "context" : {"amount":1.10} }"#),
        line(org_id, "run.completed", run_id.uuid(), "{}"),
    ];
    let file = TestFile::of(&lines.join("\n"));
    let emitted = Ended::of(&mut runledger(&stack, ["emit", file.path(), "--json"])).await;
    assert_eq!(emitted.objects(), [json!({ "published": 2, "duplicates": 0, "refused": 0 })]);
    stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    let data: String = sqlx::query_scalar("SELECT data::text FROM ledger.event WHERE event_type = 'run.started'")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(data, r#"{ "context" : {"amount":1.10} }"#);
    let again = Ended::of(&mut runledger(&stack, ["emit", file.path(), "--json"])).await;
    assert_eq!(again.objects(), [json!({ "published": 2, "duplicates": 2, "refused": 0 })]);
}

#[tokio::test]
async fn a_line_that_would_be_refused_is_named_with_its_number_and_the_others_are_published() {
    let stack = stack().await;
    let org_id = stack.register_org("stdin").await.unwrap();
    let (first, second) = (new_run(), new_run());
    let lines = [
        line(org_id, "run.started", first.uuid(), "{}"),
        String::new(),
        line(org_id, "run.vanished", first.uuid(), "{}"),
        "{".to_owned(),
        line(org_id, "run.started", second.uuid(), "{}"),
    ];
    let mut emit = runledger(&stack, ["emit"]);
    let mut emit = emit.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    emit.stdin.take().unwrap().write_all(lines.join("\r\n").as_bytes()).await.unwrap();
    let output = emit.wait_with_output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.starts_with("published 2 events") && stdout.contains("2 lines were not sent"), "{stdout}");
    let complaints: Vec<_> = stderr.lines().collect();
    assert_eq!(complaints.len(), 2, "{stderr}");
    assert!(complaints[0].starts_with("line 3: ") && complaints[0].contains("run.vanished"), "{stderr}");
    assert!(complaints[1].starts_with("line 4: "), "{stderr}");
    for run_id in [first, second] {
        stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    }
}

#[tokio::test]
async fn without_the_check_the_ledger_is_the_one_who_refuses() {
    let stack = stack().await;
    let org_id = stack.register_org("unchecked").await.unwrap();
    let file = TestFile::of(&line(org_id, "run.vanished", new_run().uuid(), "{}"));
    let emitted = Ended::of(&mut runledger(&stack, ["emit", "--no-check", "--json", file.path()])).await;
    assert_eq!(emitted.objects()[0]["published"], 1);
    let code = eventually("the dead letter", async || {
        let query = "SELECT code FROM ledger.dead_letter WHERE org_id = $1";
        sqlx::query_scalar::<_, String>(query).bind(org_id.uuid()).fetch_optional(stack.pool()).await.unwrap()
    })
    .await;
    assert_eq!(code, "unknown_type");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error() {
    let stack = idle_stack().await;
    let ended = Ended::of(&mut runledger(&stack, ["emit", "not-there.ndjson"])).await;
    assert!(ended.complaint().contains("not-there.ndjson"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_org_that_was_added_is_listed_with_its_events() {
    let stack = stack().await;
    let id = Uuid::new_v4().to_string();
    let added =
        Ended::of(&mut runledger(&stack, ["org", "add", "St. Zoë", "--type", "hospital", "--id", &id, "--json"])).await;
    assert_eq!(added.objects(), [json!({ "org_id": id, "name": "St. Zoë", "org_type": "hospital" })]);
    // It can be seen as soon as the command ends.
    let listed = Ended::of(&mut runledger(&stack, ["org", "list", "--json"])).await.objects();
    let org = listed.iter().find(|org| org["org_id"] == id).unwrap();
    assert_eq!(
        (&org["name"], &org["org_type"], &org["status"], &org["events"]),
        (&json!("St. Zoë"), &json!("hospital"), &json!("active"), &json!(1))
    );
    let table = Ended::of(&mut runledger(&stack, ["org", "list"])).await.stdout;
    assert!(table.lines().any(|line| line.contains(&id) && line.contains("St. Zoë")), "{table}");
}

#[tokio::test]
async fn an_org_is_only_published_where_nobody_waits() {
    let stack = idle_stack().await;
    let added = Ended::of(&mut runledger(&stack, ["org", "add", "Later", "--no-wait", "--json"])).await.objects();
    let org_id: OrgId = added[0]["org_id"].as_str().unwrap().parse().unwrap();
    let none: Vec<Value> = Ended::of(&mut runledger(&stack, ["org", "list", "--json"])).await.objects();
    assert!(none.iter().all(|org| org["name"] != "Later"), "{none:?}");
    let _up = runledger(&stack, ["up"]).spawn().unwrap();
    size_reaches(&stack, org_id, 1).await;
    eventually("the org in the list", async || {
        let listed = Ended::of(&mut runledger(&stack, ["org", "list", "--json"])).await.objects();
        listed.iter().any(|org| org["name"] == "Later").then_some(())
    })
    .await;
}

//! `runledger tail`.

use std::process::Stdio;

use serde_json::{Value, json, value::RawValue};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::Ended;
use crate::harness::{Sent, eventually, new_run, runledger, size_reaches, stack};

/// The member `data` of a line as it stands there.
fn data(line: &str) -> String {
    let members: std::collections::HashMap<&str, &RawValue> = serde_json::from_str(line).unwrap();
    members["data"].get().to_owned()
}

#[tokio::test]
async fn a_tail_from_the_first_seq_gives_every_event_with_the_bytes_of_its_payload() {
    let stack = stack().await;
    let org_id = stack.register_org("tail").await.unwrap();
    let payloads = [
        r#"{ "context" : {"amount":1.10, "rate":1e2,"zero":-0, "wide":9007199254740993} }"#,
        r#"{"context":{"name":"Zo\u00eb \u0041 \/ é 患者"},"unknown":[ ]}"#,
    ];
    for payload in payloads {
        Sent::valid(org_id, "run.started", new_run().uuid(), Value::Null).carrying(payload).publish(&stack).await;
    }
    let custom = new_run();
    Sent::valid(org_id, "custom.noted", custom.uuid(), Value::Null).carrying(" \"free\" ").publish(&stack).await;
    size_reaches(&stack, org_id, 4).await;

    let org = org_id.to_string();
    let all = ["tail", "--from", "1", "--no-follow", "--json", "--org", &org];
    let tailed = Ended::of(&mut runledger(&stack, all)).await;
    let events = tailed.objects();
    let lines: Vec<_> = tailed.stdout.lines().map(data).collect();
    assert_eq!(lines[1..3], payloads);
    assert_eq!(lines[3].trim(), "\"free\"");
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    assert_eq!(
        (&events[3]["event_type"], &events[3]["subject_id"], &events[3]["source"]),
        (&json!("custom.noted"), &json!(custom), &json!("/tests"))
    );
    let columns: Vec<_> = events[1].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "causation_id",
        "correlation_id",
        "data",
        "event_id",
        "event_type",
        "extensions",
        "occurred_at",
        "org_id",
        "recorded_at",
        "schema_version",
        "seq",
        "source",
        "subject_id",
        "traceparent",
    ];
    assert_eq!(columns, expected);

    let id = custom.to_string();
    for filter in [
        ["--from", "1", "--run", &id],
        ["--from", "1", "--type", "custom.noted"],
        ["--from", "1", "--type", "custom."],
        ["--from", "4", "--type", "custom."],
    ] {
        let found =
            Ended::of(runledger(&stack, ["tail", "--no-follow", "--json", "--org", &org]).args(filter)).await.objects();
        assert_eq!(found.iter().map(|event| &event["seq"]).collect::<Vec<_>>(), [4], "{filter:?}");
    }
    let last = Ended::of(&mut runledger(&stack, ["tail", "--no-follow", "--json", "--from", "4"])).await.objects();
    assert!(last.iter().filter(|event| event["org_id"] == org).count() == 1, "{last:?}");
}

#[tokio::test]
async fn a_payload_of_several_lines_stays_one_line_of_output() {
    let stack = stack().await;
    let org_id = stack.register_org("lines").await.unwrap();
    Sent::valid(org_id, "run.started", new_run().uuid(), Value::Null)
        .carrying("{\n  \"channel\": \"web\"\r\n}")
        .publish(&stack)
        .await;
    size_reaches(&stack, org_id, 2).await;
    let org = org_id.to_string();
    let events = Ended::of(&mut runledger(&stack, ["tail", "--from", "2", "--no-follow", "--json", "--org", &org]))
        .await
        .objects();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["data"], json!({ "channel": "web" }));
    let printed = Ended::of(&mut runledger(&stack, ["tail", "--from", "2", "--no-follow", "--org", &org])).await.stdout;
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

/// A tail that goes on.
struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn start(command: &mut tokio::process::Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(std::time::Duration::from_secs(30), self.lines.next_line()).await;
        serde_json::from_str(&line.expect("a line within 30 s").unwrap().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_tail_shows_new_events_as_they_come_also_of_new_orgs_until_it_is_told_to_end() {
    let stack = stack().await;
    let org_id = stack.register_org("live").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    let only_new = &mut runledger(&stack, ["tail", "--json", "--type", "run."]);
    let mut tail = Tail::start(only_new);
    // It begins with what comes after it was started: until it has, nothing it shows is missing.
    let first = eventually("the tail to have begun", async || {
        Sent::valid(org_id, "run.created", new_run().uuid(), json!({})).publish(&stack).await;
        let line = tokio::time::timeout(std::time::Duration::from_millis(300), tail.lines.next_line()).await.ok()?;
        line.unwrap().map(|line| serde_json::from_str::<Value>(&line).unwrap())
    })
    .await;
    assert_eq!(first["event_type"], "run.created");

    let new_org = stack.register_org("new").await.unwrap();
    let run_id = new_run();
    Sent::valid(new_org, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    let mut shown = tail.next().await;
    while shown["event_type"] == "run.created" {
        shown = tail.next().await;
    }
    assert_eq!((&shown["org_id"], &shown["subject_id"]), (&json!(new_org), &json!(run_id)));

    let pid = tail.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), tail.child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}

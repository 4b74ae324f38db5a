//! Text that would do something where it is shown is kept as it is, and shown as escapes.

use std::process::Stdio;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Sent, dead_letter_code, idle_stack, new_run, run, runledger, stack};

const NASTY: &str = "'; DROP TABLE ledger.event; -- \u{1b}[31m\u{1b}]0;title\u{7}\u{202e}<script>\r\n=1+1\u{9b}2J";

#[tokio::test]
async fn a_run_full_of_control_characters_is_inert_on_a_terminal() {
    let stack = stack().await;
    let org_id = stack.register_org(NASTY).await.unwrap();
    let (run_id, step_id) = (new_run(), Uuid::new_v4());
    let started = json!({ "channel": NASTY, "external_id": NASTY, "context": { NASTY: NASTY } });
    let step = json!({ "step_id": step_id, "error_message": NASTY, "error_details": { NASTY: NASTY } });
    Sent::valid(org_id, "run.started", run_id.uuid(), started).publish(&stack).await;
    Sent::valid(org_id, "step.failed", run_id.uuid(), step).publish(&stack).await;
    Sent::valid(org_id, "run.failed", run_id.uuid(), json!({ "error_message": NASTY })).publish(&stack).await;
    let shown = stack.wait_for_run(org_id, run_id, "failed").await.unwrap();
    for column in ["channel", "external_id", "error_message"] {
        assert_eq!(shown[column], NASTY, "{column}");
    }
    assert_eq!(shown["context"], json!({ NASTY: NASTY }));
    let run_id = run_id.to_string();
    for printed in [
        run(&stack, ["runs", "list"]).await,
        run(&stack, ["runs", "show", &run_id]).await,
        run(&stack, ["org", "list"]).await,
    ] {
        assert!(printed.success, "{}", printed.stderr);
        assert!(printed.stdout.contains(r"\u{1b}[31m") && printed.stdout.contains(r"\u{202e}"), "{}", printed.stdout);
        let active = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!printed.stdout.contains(active), "{:?}", printed.stdout);
    }
    let printed = run(&stack, ["runs", "show", &run_id, "--json"]).await;
    let shown: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(shown["error_message"], NASTY);
    assert!(!printed.stdout.contains('\u{1b}'), "{:?}", printed.stdout);
}

#[tokio::test]
async fn refusals_are_logged_with_their_weight_and_inert() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("logged").await.unwrap();
    let mut ledger = runledger(&stack, ["ledger"]).stderr(Stdio::piped()).spawn().unwrap();
    let valid = || Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({}));
    let first = valid();
    first.publish(&stack).await;
    let conflict = valid().with("ce-id", first.header("ce-id")).publish(&stack).await;
    let of_another = valid().with("ce-orgid", &Uuid::new_v4().to_string()).publish(&stack).await;
    let other_type = valid().to(&format!("runledger.events.{org_id}.custom.\u{1b}[31m\u{202e}")).publish(&stack).await;
    let expected = [
        (conflict, "conflict", "ERROR", false),
        (of_another, "org_mismatch", "WARN", true),
        (other_type, "type_mismatch", "WARN", true),
    ];
    for (stream_seq, code, ..) in expected {
        assert_eq!(dead_letter_code(&stack, stream_seq).await, code);
    }
    ledger.kill().await.unwrap();
    let log = String::from_utf8(ledger.wait_with_output().await.unwrap().stderr).unwrap();
    for (_, code, level, is_security) in expected {
        let quoted = format!("code=\"{code}\"");
        let line =
            log.lines().find(|line| line.contains(&quoted)).unwrap_or_else(|| panic!("{code} is not logged:\n{log}"));
        assert!(line.contains(level) && line.contains("security=true") == is_security, "{line}");
    }
    assert!(!log.contains('\u{1b}') && !log.contains('\u{202e}'), "{log:?}");
}

//! What every command does: it helps, and it minds what reads it.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Sent, binary, eventually, new_run, runledger, size_reaches, stack};

/// The commands of the contract, those left to later issues aside.
const COMMANDS: [&str; 20] = [
    "demo",
    "migrate",
    "ledger",
    "projector",
    "up",
    "org add",
    "org list",
    "emit",
    "simulate",
    "seed",
    "import event-log",
    "status",
    "runs list",
    "runs show",
    "tail",
    "replay",
    "dead-letters list",
    "dead-letters show",
    "dead-letters retry",
    "dead-letters discard",
];

fn help(path: &[String]) -> String {
    let output = Command::new(binary()).args(path).arg("--help").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{path:?} --help: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every command below this one that has none below it, with its help.
fn leaves(path: &[String]) -> Vec<(String, String)> {
    let text = help(path);
    let Some((_, listed)) = text.split_once("\nCommands:\n") else {
        return vec![(path.join(" "), text)];
    };
    let names = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| leaves(&[path, &[name.to_owned()]].concat())).collect()
}

#[tokio::test]
async fn every_command_of_the_contract_is_there_and_every_command_helps() {
    let leaves = leaves(&[]);
    for command in COMMANDS.into_iter().chain(["verify"]) {
        assert!(leaves.iter().any(|(path, _)| path == command), "there is no `runledger {command}`");
    }
    for (path, text) in &leaves {
        let about = text.lines().next().unwrap();
        assert!(about.len() > 10 && text.contains(&format!("Usage: runledger {path}")), "{path}: {text}");
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (option, next) in lines.iter().zip(&lines[1..]).filter(|(line, _)| line.starts_with("--")) {
            let is_explained = option.contains("  ") || next.len() > 5 && !next.starts_with("--");
            assert!(is_explained, "{path}: nothing is said of {option}");
        }
    }
    for flag in ["--version", "--help"] {
        let output = Command::new(binary()).arg(flag).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{flag}");
    }
    let unknown = Command::new(binary()).arg("sing").output().unwrap();
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(2), 0));
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let stack = stack().await;
    let org_id = stack.register_org("closed").await.unwrap();
    let run_id = new_run();
    Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    Sent::valid(org_id, "run.vanished", run_id.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    size_reaches(&stack, org_id, 2).await;
    eventually("the dead letter", async || {
        let letters: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ledger.dead_letter").fetch_one(stack.pool()).await.unwrap();
        (letters == 1).then_some(())
    })
    .await;
    for command in [
        "status",
        "org list",
        "runs list",
        &format!("runs show {run_id}"),
        "tail --from 1 --no-follow",
        "dead-letters list",
        "dead-letters show 1",
        "verify",
        "replay --to -",
        "migrate",
        "simulate --runs 2 --orgs 1",
        "--help",
        "tail --help",
    ] {
        for json in [&[][..], &["--json"]] {
            if !json.is_empty() && command.ends_with("--help") {
                continue;
            }
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut closed = runledger(&stack, []);
            let output =
                closed.args(command.split(' ')).args(json).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
            // The command holds the other end of the pipe too.
            drop(closed);
            let output = output.wait_with_output().await.unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{command} {json:?}: {stderr}");
            assert!(!stderr.contains("panicked") && !stderr.contains("runledger: "), "{command} {json:?}: {stderr}");
        }
    }
}

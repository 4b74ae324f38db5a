//! A replay that ends before its end goes on where it stopped.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use async_nats::jetstream::{self, stream};
use serde_json::Value;
use stack::Stack;
use tokio::{io::AsyncWriteExt, process::Child};

use super::{Folder, heads, org, replay, restore, rows, stack, unpacked};
use crate::harness::{eventually, idle_stack, runledger};

/// A replay so slow that it does not end by itself.
fn slow_replay(stack: &Stack, to: &str, flags: &[&str]) -> Child {
    let mut command = runledger(stack, ["replay", "--to", to, "--rate", "100"]);
    command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a position is written that some events stand before.
async fn position(file: &str) -> Value {
    eventually("a position", async || {
        let position: Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).unwrap();
        (position["events"].as_u64()? > 0).then_some(position)
    })
    .await
}

#[tokio::test]
async fn a_replay_that_was_killed_goes_on_and_its_file_is_that_of_one_that_was_not() {
    let (source, target, folder) = (stack().await, idle_stack().await, Folder::new());
    let orgs = [org(&source, 150).await.to_string(), org(&source, 250).await.to_string()];
    let whole = ["--org", &orgs[0], "--org", &orgs[1]];
    let uninterrupted = folder.file("uninterrupted");
    assert!(replay(&source, &uninterrupted, &whole).await.success);
    for name in ["killed.ndjson", "killed.zst", "killed.gz"] {
        let file = folder.file(name);
        let mut killed = slow_replay(&source, &file, &whole);
        let position = position(&format!("{file}.position")).await;
        killed.kill().await.unwrap();
        // As if it had been killed in the middle of a write.
        std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"\x28\xB5{\"torn").unwrap();
        assert!(std::fs::metadata(&file).unwrap().len() > position["bytes"].as_u64().unwrap());

        let other = replay(&source, &file, &["--org", &orgs[0]]).await;
        assert!(!other.success && other.stderr.contains("another selection"), "{name}: {}", other.stderr);
        let resumed = replay(&source, &file, &whole).await;
        assert!(resumed.success, "{name}: {}", resumed.stderr);
        assert!(resumed.stdout.contains("replayed 402 events of 2 orgs"), "{name}: {}", resumed.stdout);
        assert_eq!(unpacked(&file), unpacked(&uninterrupted), "{name}");
        let restored = restore(&target, &file).await;
        assert!(restored.success, "{name}: {}{}", restored.stdout, restored.stderr);
    }
}

#[tokio::test]
async fn what_is_appended_meanwhile_does_not_belong_to_a_replay() {
    let (source, folder) = (stack().await, Folder::new());
    let org_id = org(&source, 200).await;
    let (file, only) = (folder.file("part.zst"), org_id.to_string());
    let mut killed = slow_replay(&source, &file, &["--org", &only]);
    position(&format!("{file}.position")).await;
    killed.kill().await.unwrap();
    super::Sent::valid(org_id, "custom.late", uuid::Uuid::new_v4(), serde_json::json!({})).publish(&source).await;
    super::size_reaches(&source, org_id, 202).await;
    let resumed = replay(&source, &file, &["--org", &only]).await;
    assert!(resumed.success, "{}", resumed.stderr);
    let events = super::objects(&unpacked(&file));
    assert_eq!((events.len(), &events[200]["ledgerseq"]), (201, &"201".into()));
    assert!(events[200]["ledgerroot"].is_string());
}

#[tokio::test]
async fn an_interrupted_replay_says_how_to_go_on_and_has_lost_nothing() {
    let (source, folder) = (stack().await, Folder::new());
    let only = org(&source, 200).await.to_string();
    let (position_file, first, second) = (folder.file("cursor"), folder.file("first"), folder.file("second"));
    let flags = ["--org", &only, "--position", &position_file];
    let mut interrupted = runledger(&source, ["replay", "--to", "-", "--rate", "100"]);
    let interrupted = interrupted.args(flags).stdout(std::fs::File::create(&first).unwrap()).stderr(Stdio::piped());
    let interrupted = interrupted.spawn().unwrap();
    position(&position_file).await;
    let pid = interrupted.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let interrupted = interrupted.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(interrupted.stderr).unwrap();
    assert_eq!(interrupted.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("interrupted after") && stderr.contains("same command"), "{stderr}");

    let mut resumed = runledger(&source, ["replay", "--to", "-"]);
    let resumed = resumed.args(flags).stdout(std::fs::File::create(&second).unwrap()).status().await.unwrap();
    assert!(resumed.success());
    let events = super::objects(&(unpacked(&first) + &unpacked(&second)));
    let seqs: Vec<&str> = events.iter().map(|event| event["ledgerseq"].as_str().unwrap()).collect();
    let expected: Vec<String> = (1..=201).map(|seq| seq.to_string()).collect();
    assert_eq!(seqs, expected);
    assert!(!std::fs::exists(&position_file).unwrap());
}

#[tokio::test]
async fn a_stream_has_every_event_once_and_in_order_after_a_replay_that_was_killed() {
    let (source, folder) = (stack().await, Folder::new());
    let only = org(&source, 200).await.to_string();
    let config = stream::Config { name: "AUDIT".into(), subjects: vec!["audit.>".into()], ..Default::default() };
    let audit = jetstream::new(source.client().clone()).create_stream(config).await.unwrap();
    let cursor = folder.file("cursor");
    let flags = ["--org", &only, "--position", &cursor];
    let mut killed = slow_replay(&source, "nats:audit", &flags);
    position(&cursor).await;
    killed.kill().await.unwrap();
    let elsewhere = replay(&source, "nats:other", &flags).await;
    assert!(!elsewhere.success && elsewhere.stderr.contains("nats:audit"), "{}", elsewhere.stderr);
    let resumed = replay(&source, "nats:audit", &flags).await;
    assert!(resumed.success, "{}", resumed.stderr);
    assert_eq!(audit.get_info().await.unwrap().state.messages, 201);
    for stream_seq in [1, 2, 77, 150, 201] {
        let message = audit.get_raw_message(stream_seq).await.unwrap();
        assert_eq!(message.headers.get("ce-ledgerseq").unwrap().as_str(), stream_seq.to_string());
    }
}

#[tokio::test]
async fn a_restoration_that_is_killed_leaves_whole_orgs_or_nothing_and_the_next_one_completes_it() {
    let (source, target, folder) = (stack().await, idle_stack().await, Folder::new());
    let mut orgs = [org(&source, 3).await, org(&source, 1_500).await];
    orgs.sort();
    let file = folder.file("both");
    assert!(replay(&source, &file, &["--org", &orgs[0].to_string(), "--org", &orgs[1].to_string()]).await.success);
    let text = unpacked(&file);
    let (all_but_last_line, _) = text.trim_end().rsplit_once('\n').unwrap();

    let mut restoring = runledger(&target, ["emit", "--restore"]);
    let mut restoring = restoring.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = restoring.stdin.take().unwrap();
    stdin.write_all(all_but_last_line.as_bytes()).await.unwrap();
    eventually("the first org", async || (heads(&target).await.len() == 1).then_some(())).await;
    restoring.kill().await.unwrap();
    assert_eq!(rows(&target, None).await, rows(&source, Some(orgs[0])).await);

    let restored = restore(&target, &file).await;
    assert!(restored.success, "{}{}", restored.stdout, restored.stderr);
    assert!(restored.stdout.contains(&format!("org {}: stood already", orgs[0])), "{}", restored.stdout);
    assert_eq!(rows(&target, Some(orgs[1])).await, rows(&source, Some(orgs[1])).await);
}

#[tokio::test]
async fn a_file_that_is_there_is_not_written_over() {
    let (source, folder) = (stack().await, Folder::new());
    let only = org(&source, 1).await.to_string();
    let file = folder.file("all.ndjson");
    assert!(replay(&source, &file, &["--org", &only]).await.success);
    let complete = unpacked(&file);
    for _ in 0..2 {
        let again = replay(&source, &file, &["--org", &only]).await;
        assert!(!again.success && again.stderr.contains("is there already"), "{}", again.stderr);
    }
    assert_eq!(unpacked(&file), complete);
}

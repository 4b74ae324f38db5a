//! A replay restored into a second database: the same ledger, the same read models.

use std::process::Stdio;

use serde_json::Value;
use stack::Stack;

use super::{Folder, heads, odd_org, org, replay, restore, rows, unpacked};
use crate::harness::{Sent, eventually, idle_stack, run, runledger, size_reaches, stack};

/// A workload as services make it, folded.
async fn simulated(stack: &Stack) {
    let printed = run(stack, ["simulate", "--runs", "25", "--orgs", "2", "--seed", "7", "--json"]).await;
    assert!(printed.success, "{}", printed.stderr);
    let simulated: Value = serde_json::from_str(&printed.stdout).unwrap();
    let events = simulated["events"].as_i64().unwrap();
    eventually("the workload", async || {
        let query = "SELECT sum(size)::bigint FROM ledger.head WHERE org_id <> '00000000-0000-4000-8000-000000000001'";
        let size: Option<i64> = sqlx::query_scalar(query).fetch_one(stack.pool()).await.unwrap();
        (size >= Some(events)).then_some(())
    })
    .await;
}

/// Every row of the read models.
async fn read_models(stack: &Stack) -> Vec<String> {
    let query = "SELECT r::text FROM user_workflow_run r UNION ALL SELECT s::text FROM user_workflow_run_step s
                 UNION ALL SELECT o::text FROM organization o UNION ALL SELECT u::text FROM app_user u ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(stack.pool()).await.unwrap()
}

async fn is_folded(stack: &Stack) -> bool {
    let query =
        "SELECT NOT EXISTS (SELECT FROM ledger.head h CROSS JOIN (SELECT DISTINCT projection FROM ledger.checkpoint) p
                 LEFT JOIN ledger.checkpoint c USING (org_id, projection) WHERE c.seq IS DISTINCT FROM h.size)";
    sqlx::query_scalar(query).fetch_one(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn a_replay_restored_elsewhere_is_the_same_ledger_and_gives_the_same_read_models() {
    let (source, mut target, folder) = (stack().await, idle_stack().await, Folder::new());
    let odd = odd_org(&source).await;
    simulated(&source).await;
    let file = folder.file("all.zst");
    let replayed = replay(&source, &file, &[]).await;
    assert!(replayed.success, "{}", replayed.stderr);
    assert_eq!(unpacked(&file).lines().count(), rows(&source, None).await.len());
    assert!(!std::fs::exists(folder.file("all.zst.position")).unwrap(), "the position outlived the replay");

    let restored = restore(&target, &file).await;
    assert!(restored.success, "{}{}", restored.stdout, restored.stderr);
    assert_eq!(rows(&target, None).await, rows(&source, None).await);
    assert_eq!(heads(&target).await, heads(&source).await);
    let roots: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT root FROM ledger.head").fetch_all(source.pool()).await.unwrap();
    for root in roots {
        let root: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(replayed.stdout.contains(&root), "{root}: {}", replayed.stdout);
        assert!(restored.stdout.contains(&format!("{root}, equal to the source's")), "{root}: {}", restored.stdout);
    }
    let verified = run(&target, ["verify"]).await;
    assert!(verified.success, "{}", verified.stdout);

    target.start_services().unwrap();
    eventually("the source to be folded", async || is_folded(&source).await.then_some(())).await;
    let expected = read_models(&source).await;
    assert!(expected.len() > 50, "{} rows", expected.len());
    eventually("the same read models", async || (read_models(&target).await == expected).then_some(())).await;

    // The ledger goes on behind what was restored.
    Sent::valid(odd, "custom.next", uuid::Uuid::new_v4(), serde_json::json!({})).publish(&target).await;
    let size = rows(&source, Some(odd)).await.len() as i64;
    size_reaches(&target, odd, size + 1).await;
    assert!(run(&target, ["verify"]).await.success);
}

#[tokio::test]
async fn an_event_that_its_service_sends_again_after_the_restoration_is_known() {
    let (source, mut target, folder) = (stack().await, idle_stack().await, Folder::new());
    let org_id = org(&source, 0).await;
    let sent = Sent::valid(org_id, "custom.again", uuid::Uuid::new_v4(), serde_json::json!({ "n": 1 }));
    sent.publish(&source).await;
    size_reaches(&source, org_id, 2).await;
    let file = folder.file("all.gz");
    assert!(replay(&source, &file, &[]).await.success);
    assert!(restore(&target, &file).await.success);
    target.start_services().unwrap();
    sent.publish(&target).await;
    Sent::valid(org_id, "custom.new", uuid::Uuid::new_v4(), serde_json::json!({})).publish(&target).await;
    size_reaches(&target, org_id, 3).await;
    let types: Vec<String> =
        sqlx::query_scalar("SELECT event_type FROM ledger.event WHERE org_id = $1 ORDER BY seq OFFSET 1")
            .bind(org_id.uuid())
            .fetch_all(target.pool())
            .await
            .unwrap();
    assert_eq!(types, ["custom.again", "custom.new"]);
    let letters: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ledger.dead_letter").fetch_one(target.pool()).await.unwrap();
    assert_eq!(letters, 0);
}

#[tokio::test]
async fn every_kind_of_file_holds_the_same_and_is_restored_alike() {
    let source = stack().await;
    let (odd, plain) = (odd_org(&source).await, org(&source, 3).await);
    let orgs = [odd.to_string(), plain.to_string()];
    let folder = Folder::new();
    let mut texts = Vec::new();
    for name in ["all.ndjson", "all.gz", "all.zst"] {
        let (file, target) = (folder.file(name), idle_stack().await);
        let replayed = replay(&source, &file, &["--org", &orgs[0], "--org", &orgs[1]]).await;
        assert!(replayed.success, "{name}: {}", replayed.stderr);
        let restored = restore(&target, &file).await;
        assert!(restored.success, "{name}: {}{}", restored.stdout, restored.stderr);
        for org_id in [odd, plain] {
            assert_eq!(rows(&target, Some(org_id)).await, rows(&source, Some(org_id)).await, "{name}");
        }
        assert_eq!(heads(&target).await.len(), 2, "{name}");
        texts.push(unpacked(&file));
    }
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}

#[tokio::test]
async fn a_replay_is_restored_through_a_pipe() {
    let (source, target) = (stack().await, idle_stack().await);
    let org_id = odd_org(&source).await;
    let (reader, writer) = std::io::pipe().unwrap();
    let mut replaying = {
        // Gone, with its end of the pipe, when the process has its own.
        let mut command = runledger(&source, ["replay", "--to", "-"]);
        command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut restoring = runledger(&target, ["emit", "--restore", "--json"]);
    let restored = restoring.stdin(reader).output().await.unwrap();
    assert!(replaying.wait().await.unwrap().success());
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let outcomes = super::objects(std::str::from_utf8(&restored.stdout).unwrap());
    let outcome = outcomes.iter().find(|outcome| outcome["org_id"] == org_id.to_string()).unwrap();
    assert_eq!((&outcome["outcome"], &outcome["proved"]), (&"restored".into(), &true.into()));
    assert_eq!(heads(&target).await, heads(&source).await);
}

#[tokio::test]
async fn what_stands_already_is_compared_and_what_is_missing_restored() {
    let (source, target, folder) = (stack().await, idle_stack().await, Folder::new());
    let first = org(&source, 2).await;
    let (one, all) = (folder.file("one.ndjson"), folder.file("all.ndjson"));
    assert!(replay(&source, &one, &["--org", &first.to_string()]).await.success);
    assert!(restore(&target, &one).await.success);
    let second = org(&source, 4).await;
    assert!(replay(&source, &all, &[]).await.success);
    let restored = restore(&target, &all).await;
    assert!(restored.success, "{}{}", restored.stdout, restored.stderr);
    assert!(restored.stdout.contains(&format!("org {first}: stood already, 3 events")), "{}", restored.stdout);
    assert!(restored.stdout.contains(&format!("org {second}: restored, 5 events")), "{}", restored.stdout);
    let before = (rows(&target, None).await, heads(&target).await);
    let again = restore(&target, &all).await;
    assert!(again.success && again.stdout.contains("restored 0 events of 0 orgs; 3 orgs stood"), "{}", again.stdout);
    assert_eq!((rows(&target, None).await, heads(&target).await), before);
}

#[tokio::test]
async fn nothing_is_restored_over_other_events() {
    let (source, target, folder) = (stack().await, stack().await, Folder::new());
    let (taken, free) = (org(&source, 2).await, org(&source, 1).await);
    // The same org elsewhere, with a history of its own.
    let name = format!("{taken}");
    assert!(run(&target, ["org", "add", "Elsewhere", "--id", &name]).await.success);
    size_reaches(&target, taken, 1).await;
    let before = rows(&target, Some(taken)).await;
    let file = folder.file("both.zst");
    assert!(replay(&source, &file, &["--org", &name, "--org", &free.to_string()]).await.success);
    let restored = restore(&target, &file).await;
    assert!(!restored.success);
    assert!(
        restored.stderr.contains(&name) && restored.stderr.contains("1 events here already"),
        "{}",
        restored.stderr
    );
    assert_eq!(rows(&target, Some(taken)).await, before);
    assert_eq!(rows(&target, Some(free)).await, rows(&source, Some(free)).await);
}

#[tokio::test]
async fn only_the_owner_restores() {
    let (source, target, folder) = (stack().await, idle_stack().await, Folder::new());
    let org_id = org(&source, 1).await;
    let file = folder.file("all.ndjson");
    assert!(replay(&source, &file, &["--org", &org_id.to_string()]).await.success);
    let separator = if target.database_url().contains('?') { '&' } else { '?' };
    for role in ["runledger_ledger", "runledger_admin"] {
        let url = format!("{}{separator}options=-c%20role%3D{role}", target.database_url());
        let refused = run(&target, ["emit", "--restore", &file, "--database-url", &url]).await;
        assert!(!refused.success && refused.stdout.is_empty(), "{role}: {}", refused.stdout);
        assert!(refused.stderr.contains(role) && refused.stderr.contains("owner"), "{}", refused.stderr);
    }
    assert!(heads(&target).await.is_empty());
}

/// What restoring a file says where the operator knows roots.
async fn restore_knowing<const N: usize>(stack: &Stack, file: &str, roots: [&str; N]) -> crate::harness::Printed {
    let mut command = runledger(stack, ["emit", "--restore", file]);
    for root in roots {
        command.args(["--root", root]);
    }
    let output = command.output().await.unwrap();
    crate::harness::Printed {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_root_that_the_operator_knows_counts_more_than_the_files() {
    let (source, target, folder) = (stack().await, idle_stack().await, Folder::new());
    let (one, other) = (org(&source, 3).await, org(&source, 2).await);
    let roots = async |stack: &Stack, org_id: events::id::OrgId| -> String {
        let query = "SELECT encode(root, 'hex') FROM ledger.head WHERE org_id = $1";
        sqlx::query_scalar(query).bind(org_id.uuid()).fetch_one(stack.pool()).await.unwrap()
    };
    let (root, other_root) = (roots(&source, one).await, roots(&source, other).await);
    let file = folder.file("one.ndjson");
    assert!(replay(&source, &file, &["--org", &one.to_string()]).await.success);

    // A replay that proves itself, of a ledger that the operator does not mean: shorter than it was.
    let (forger, forged) = (idle_stack().await, folder.file("forged.ndjson"));
    let shorter: String = unpacked(&file).lines().take(3).map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.file("shorter.ndjson"), shorter).unwrap();
    let taken = run(&forger, ["emit", "--restore", &folder.file("shorter.ndjson"), "--unproved"]).await;
    assert!(taken.success, "{}", taken.stderr);
    assert!(replay(&forger, &forged, &["--org", &one.to_string()]).await.success);
    for known in [root.clone(), format!("{one}={root}")] {
        let refused = restore_knowing(&target, &forged, [&known]).await;
        assert!(!refused.success && refused.stderr.contains("none of the roots that were given"), "{}", refused.stderr);
        assert!(refused.stderr.contains(&format!("does not restore {}", if known == root { "an org" } else { "org" })));
        assert!(rows(&target, Some(one)).await.is_empty());
    }
    // Whoever trusts the file alone is not told.
    assert!(restore(&idle_stack().await, &forged).await.success);

    // The source's file without its own proof: the operator's is enough.
    let bare: String = unpacked(&file)
        .lines()
        .map(|line| {
            let mut event: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
            event.remove("ledgerroot");
            format!("{}\n", Value::Object(event))
        })
        .collect();
    std::fs::write(folder.file("bare.ndjson"), bare).unwrap();
    assert!(!restore(&target, &folder.file("bare.ndjson")).await.success);
    let known = format!("{one}={}", root.to_uppercase());
    let restored = restore_knowing(&target, &folder.file("bare.ndjson"), [&known]).await;
    assert!(
        restored.success && restored.stdout.contains(&format!("{root}, the one given by --root")),
        "{}",
        restored.stderr
    );
    assert_eq!(roots(&target, one).await, root);

    // What stands already is compared too, and what is missing in the file is missed.
    let again = restore_knowing(&target, &file, [&root]).await;
    assert!(again.success && again.stdout.contains("stood already"), "{}", again.stderr);
    let missed = restore_knowing(&target, &file, [&root, &format!("{other}={other_root}")]).await;
    assert!(!missed.success && missed.stderr.contains(&other.to_string()), "{}", missed.stderr);
    let refused = restore_knowing(&target, &file, ["00ff"]).await;
    assert!(!refused.success && refused.stderr.contains("64 hexadecimal digits"), "{}", refused.stderr);
}

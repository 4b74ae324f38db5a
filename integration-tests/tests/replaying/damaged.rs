//! What is not as it was appended is neither replayed nor restored, and the place of it is named.

use sqlx::AssertSqlSafe;
use stack::Stack;
use uuid::Uuid;

use super::{Folder, Sent, heads, objects, org, replay, restore, rows, stack, unpacked};
use crate::harness::{idle_stack, run};

/// What is done to the lines of an org of nine events, and what the complaint has to hold.
type Damage = (&'static str, fn(&mut Vec<String>), &'static str);

const DAMAGES: [Damage; 17] = [
    ("a changed byte of data", |lines| lines[4] = lines[4].replace("\"n\":3", "\"n\":8"), "seq 9"),
    ("a changed payload of the last", |lines| lines[8] = lines[8].replace("\"n\":7", "\"n\":8"), "seq 9"),
    ("another time", |lines| lines[4] = lines[4].replace("10:00:00Z", "10:00:00.000001Z"), "seq 9"),
    ("another source", |lines| lines[2] = lines[2].replace("\"/tests\"", "\"/test\""), "seq 9"),
    ("an attribute more", |lines| lines[2] = lines[2].replacen('{', "{\"authid\":\"x\",", 1), "seq 9"),
    ("the first line is missing", |lines| drop(lines.remove(0)), "line 1: seq 2"),
    ("a line in the middle is missing", |lines| drop(lines.remove(4)), "line 5: seq 6"),
    ("the last line is missing", |lines| drop(lines.pop()), "the last, seq 8"),
    ("two lines are swapped", |lines| lines.swap(3, 4), "line 4: seq 5"),
    ("a line is doubled", |lines| lines.insert(3, lines[3].clone()), "line 5: seq 4"),
    ("no root", |lines| lines[8] = lines[8].replace("ledgerroot", "otherroot"), "the last, seq 9"),
    (
        "a root too early",
        |lines| lines[2] = lines[2].replacen('{', &format!("{{\"ledgerroot\":\"{:064}\",", 0), 1),
        "seq 3",
    ),
    ("no seq", |lines| lines[2] = lines[2].replace("ledgerseq", "seq"), "line 3: invalid_event: ledgerseq"),
    (
        "recorded before the one before",
        |lines| lines[5] = lines[5].replace("\"recordedtime\":\"2", "\"recordedtime\":\"1"),
        "line 6: ",
    ),
    ("half a line", |lines| lines[5].truncate(200), "line 6: malformed_json"),
    ("a line of something else", |lines| lines[5] = "\u{fffd}PK".to_owned(), "line 6: malformed_json"),
    (
        "one event id twice",
        |lines| {
            let ids: Vec<String> =
                lines.iter().map(|line| objects(line)[0]["id"].as_str().unwrap().to_owned()).collect();
            lines[4] = lines[4].replace(&ids[4], &ids[3]);
            let last = lines.len() - 1;
            lines[last] = lines[last].replace("ledgerroot", "otherroot");
        },
        "the last, seq 9",
    ),
];

#[tokio::test]
async fn a_damaged_org_is_refused_whole_with_the_place_and_the_others_are_restored() {
    let (source, target, folder) = (stack().await, idle_stack().await, Folder::new());
    let mut orgs = [org(&source, 8).await, org(&source, 2).await];
    orgs.sort();
    let damaged = if rows(&source, Some(orgs[0])).await.len() == 9 { orgs[0] } else { orgs[1] };
    let file = folder.file("both.ndjson");
    assert!(replay(&source, &file, &["--org", &orgs[0].to_string(), "--org", &orgs[1].to_string()]).await.success);
    let text = unpacked(&file);
    let (lines, others): (Vec<_>, Vec<_>) =
        text.lines().map(str::to_owned).partition(|line| line.contains(&format!("\"orgid\":\"{damaged}\"")));
    assert_eq!((lines.len(), others.len()), (9, 3));
    let mut faults = Vec::new();
    for (name, damage, place) in DAMAGES {
        let mut spoiled = lines.clone();
        damage(&mut spoiled);
        assert_ne!(spoiled, lines, "{name}");
        spoiled.extend(others.clone());
        let file = folder.file("spoiled.ndjson");
        std::fs::write(&file, spoiled.join("\n")).unwrap();
        let restored = restore(&target, &file).await;
        if restored.success || !restored.stderr.contains(place) {
            faults.push(format!("{name}: {:.300}", restored.stderr));
        }
        if !rows(&target, Some(damaged)).await.is_empty() || heads(&target).await.len() != 1 {
            faults.push(format!("{name}: something of it was restored"));
        }
    }
    assert!(faults.is_empty(), "{} faults\n- {}", faults.len(), faults.join("\n- "));
    let unspoiled = restore(&target, &file).await;
    assert!(unspoiled.success, "{}{}", unspoiled.stdout, unspoiled.stderr);
    assert_eq!(rows(&target, Some(damaged)).await, rows(&source, Some(damaged)).await);
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_said_to_be_and_what_it_has_whole_is_restored() {
    let (source, folder) = (stack().await, Folder::new());
    let mut orgs = [org(&source, 1).await, org(&source, 40).await];
    orgs.sort();
    for name in ["all.zst", "all.gz", "all.ndjson"] {
        let (target, file) = (idle_stack().await, folder.file(name));
        assert!(replay(&source, &file, &["--org", &orgs[0].to_string(), "--org", &orgs[1].to_string()]).await.success);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 30]).unwrap();
        let restored = restore(&target, &file).await;
        assert!(!restored.success && restored.stderr.contains(name), "{name}: {}", restored.stderr);
        assert!(rows(&target, Some(orgs[1])).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_end_that_nothing_proves_is_restored_when_asked_for() {
    let (source, target, folder) = (stack().await, idle_stack().await, Folder::new());
    let org_id = org(&source, 8).await;
    let file = folder.file("part.ndjson");
    assert!(replay(&source, &file, &["--org", &org_id.to_string(), "--to-seq", "5"]).await.success);
    let refused = restore(&target, &file).await;
    assert!(!refused.success && refused.stderr.contains("--unproved"), "{}", refused.stderr);
    let restored = run(&target, ["emit", "--restore", "--unproved", &file]).await;
    assert!(restored.success && !restored.stdout.contains("equal"), "{}{}", restored.stdout, restored.stderr);
    assert_eq!(rows(&target, None).await, rows(&source, Some(org_id)).await[..5]);
    assert!(run(&target, ["verify"]).await.success);
}

#[tokio::test]
async fn a_file_without_events_and_one_that_is_not_there_are_errors() {
    let (target, folder) = (idle_stack().await, Folder::new());
    let empty = folder.file("empty.zst");
    std::fs::write(&empty, "").unwrap();
    for file in [&empty, &folder.file("nowhere.zst"), &folder.file("")] {
        let restored = restore(&target, file).await;
        assert!(!restored.success && !restored.stderr.is_empty(), "{file}: {}", restored.stdout);
    }
}

async fn tamper(stack: &Stack, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "SET session_replication_role = replica; {sql}; RESET session_replication_role"
    )))
    .execute(stack.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn a_ledger_that_was_tampered_with_is_not_replayed_and_the_seq_is_named() {
    let mut source = stack().await;
    let folder = Folder::new();
    let (changed, missing, root) = (org(&source, 5).await, org(&source, 5).await, org(&source, 5).await);
    let run_id = Uuid::new_v4();
    Sent::valid(changed, "custom.a", run_id, serde_json::json!({})).publish(&source).await;
    crate::harness::size_reaches(&source, changed, 7).await;
    source.stop_services().await;
    tamper(&source, &format!("ALTER TABLE ledger.event DISABLE TRIGGER ALL; ALTER TABLE ledger.event_{} DISABLE TRIGGER ALL; ALTER TABLE ledger.event_{} DISABLE TRIGGER ALL;
        UPDATE ledger.event SET data = '{{}} ' WHERE org_id = '{changed}' AND seq = 7; DELETE FROM ledger.event WHERE org_id = '{missing}' AND seq = 4;
        UPDATE ledger.head SET root = sha256('x') WHERE org_id = '{root}'", changed.uuid().simple(), missing.uuid().simple())).await;
    let run_id = run_id.to_string();
    for (org_id, flags, place) in [
        (changed, vec![], "seq 7"),
        (changed, vec!["--type", "custom.*"], "seq 7"),
        (changed, vec!["--run", &run_id], "seq 7"),
        (missing, vec![], "seq 4"),
        (missing, vec!["--from-seq", "3"], "seq 4"),
        (root, vec![], "its head's"),
    ] {
        let (file, org) = (folder.file(&Uuid::new_v4().to_string()), org_id.to_string());
        let replayed = replay(&source, &file, &[&["--org", &org], &flags[..]].concat()).await;
        assert!(!replayed.success, "{flags:?}: {}", replayed.stdout);
        for part in [place, &org, "runledger verify"] {
            assert!(replayed.stderr.contains(part), "{flags:?}: {}", replayed.stderr);
        }
        assert!(!std::fs::read_to_string(&file).unwrap().contains("ledgerroot"), "{flags:?}");
    }
    // An org that no head counts would be missing from a replay of all orgs.
    tamper(&source, &format!("DELETE FROM ledger.head WHERE org_id = '{changed}'")).await;
    let replayed = replay(&source, &folder.file("all"), &[]).await;
    assert!(!replayed.success && replayed.stderr.contains(&changed.to_string()), "{}", replayed.stderr);
}

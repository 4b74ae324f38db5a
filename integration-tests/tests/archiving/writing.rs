//! What `archive` writes, and what `verify --archive` finds in it.

use events::id::OrgId;
use serde_json::json;
use sqlx::AssertSqlSafe;
use stack::Stack;
use uuid::Uuid;

use super::{FUTURE, append_events, append_org, archive, directory, file, forgery, org_of, run_events, verdict};
use crate::harness::{idle_stack, new_run, run, runledger};

/// More than a row group holds.
const LARGE: usize = 9_000;

#[tokio::test]
async fn an_archive_is_proved_when_written_and_by_verify_also_from_a_copy() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, LARGE, 7).await;
    let (_guard, path) = directory();
    let archived = archive(&stack, org_id, &path).await;
    assert_eq!((&archived["archived"], &archived["last_seq"]), (&json!(LARGE), &json!(LARGE)));
    let root: String = sqlx::query_scalar("SELECT encode(root, 'hex') FROM ledger.head WHERE org_id = $1")
        .bind(org_id.uuid())
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(archived["root"], json!(root));
    let written = file(&path, org_id, 1, LARGE as i64);
    assert_eq!(archived["file_bytes"], json!(written.metadata().unwrap().len()));
    assert_eq!(verdict(&stack, org_id, None).await["root"], json!(root));

    let (_other_guard, copy) = directory();
    let copied = file(&copy, org_id, 1, LARGE as i64);
    std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
    std::fs::rename(&written, &copied).unwrap();
    assert_eq!(verdict(&stack, org_id, Some(&copy)).await["verdict"], "intact");
    let missing = verdict(&stack, org_id, None).await;
    assert_eq!((&missing["verdict"], &missing["seq"]), (&json!("archive"), &json!(1)));
    let name = format!("{org_id}/1-{LARGE}.parquet");
    assert!(missing["fault"].as_str().unwrap().contains(&name), "{missing}");
}

#[tokio::test]
async fn only_the_prefix_recorded_before_the_time_is_archived_and_the_next_archive_continues_it() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 10, 3).await;
    append_events(&stack, &run_events(org_id, new_run(), 5)).await;
    let before: String = sqlx::query_scalar(
        "SELECT to_char(recorded_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ') FROM ledger.event WHERE org_id = $1 AND seq = 11",
    )
    .bind(org_id.uuid())
    .fetch_one(stack.pool())
    .await
    .unwrap();
    let (_guard, path) = directory();
    let org = org_id.to_string();
    let printed = run(&stack, ["archive", "--org", &org, "--before", &before, "--to", &path]).await;
    assert!(printed.success && printed.stdout.contains("archived 10 events (seq 1 to 10)"), "{}", printed.stdout);
    let printed = run(&stack, ["archive", "--org", &org, "--before", &before, "--to", &path]).await;
    assert!(printed.success && printed.stdout.contains("nothing to archive"), "{}", printed.stdout);
    let second = archive(&stack, org_id, &path).await;
    assert_eq!((&second["first_seq"], &second["last_seq"]), (&json!(11), &json!(15)));
    assert!(file(&path, org_id, 1, 10).exists() && file(&path, org_id, 11, 15).exists());
    assert_eq!(verdict(&stack, org_id, None).await["size"], 15);
}

/// What is done to a file, and what verify must say.
async fn found_in_file(spoil: impl FnOnce(&std::path::Path)) -> serde_json::Value {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, LARGE, 7).await;
    let (_guard, path) = directory();
    archive(&stack, org_id, &path).await;
    spoil(&file(&path, org_id, 1, LARGE as i64));
    verdict(&stack, org_id, None).await
}

#[tokio::test]
async fn a_payload_changed_in_a_file_is_named_by_its_seq() {
    let found = found_in_file(|file| forgery::replace_data(file, 5_000, r#"{"forged":true}"#)).await;
    assert_eq!((&found["verdict"], &found["seq"]), (&json!("archive"), &json!(5_001)), "{found}");
}

#[tokio::test]
async fn a_byte_that_rots_in_a_file_is_found_and_never_a_crash() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 3_000, 7).await;
    let (_guard, path) = directory();
    archive(&stack, org_id, &path).await;
    let file = file(&path, org_id, 1, 3_000);
    let whole = std::fs::read(&file).unwrap();
    let mut conn = stack.pool().acquire().await.unwrap();
    let mut found = 0;
    const TRIED: usize = 60;
    for n in 0..TRIED {
        let mut rotten = whole.clone();
        rotten[whole.len() * n / TRIED] ^= 0x10;
        std::fs::write(&file, &rotten).unwrap();
        let verdict = ledger::verify::verify_org_and_archive(&mut conn, org_id, None, |_| ()).await.unwrap();
        found += usize::from(matches!(verdict, ledger::verify::Verdict::Archive { .. }));
    }
    // A few bytes, such as the greatest value of a column that the footer tells, say nothing of an event.
    assert!(found * 10 >= TRIED * 8, "{found} of {TRIED} found");
}

#[tokio::test]
async fn a_truncated_file_and_another_orgs_file_are_found() {
    let truncated = found_in_file(|file| {
        let whole = std::fs::read(file).unwrap();
        std::fs::write(file, &whole[..whole.len() / 2]).unwrap();
    })
    .await;
    assert_eq!((&truncated["verdict"], &truncated["seq"]), (&json!("archive"), &json!(1)), "{truncated}");

    let stack = idle_stack().await;
    let (one, two) = (org_of(&stack, 50, 7).await, org_of(&stack, 50, 7).await);
    let (_guard, path) = directory();
    for org_id in [one, two] {
        archive(&stack, org_id, &path).await;
    }
    std::fs::copy(file(&path, one, 1, 50), file(&path, two, 1, 50)).unwrap();
    let found = verdict(&stack, two, None).await;
    assert!(found["fault"].as_str().unwrap().contains(&one.to_string()), "{found}");
}

async fn tamper(stack: &Stack, org_id: OrgId, sql: &str) {
    let partition = format!("ledger.event_{}", org_id.uuid().simple());
    let script = format!("ALTER TABLE {partition} DISABLE TRIGGER ALL; {}", sql.replace("$event", &partition));
    sqlx::raw_sql(AssertSqlSafe(script)).execute(stack.pool()).await.unwrap();
}

#[tokio::test]
async fn a_damaged_ledger_is_not_archived() {
    for sql in [
        "UPDATE $event SET data = '{}' WHERE seq = 7",
        "DELETE FROM $event WHERE seq = 7",
        "UPDATE $event SET recorded_at = 'infinity' WHERE seq = 7",
    ] {
        let stack = idle_stack().await;
        let org_id = org_of(&stack, 20, 7).await;
        tamper(&stack, org_id, sql).await;
        let (_guard, path) = directory();
        let org = org_id.to_string();
        let printed = run(&stack, ["archive", "--org", &org, "--before", FUTURE, "--to", &path]).await;
        assert!(!printed.success && printed.stderr.contains("seq 7"), "{sql}: {}{}", printed.stdout, printed.stderr);
        let recorded: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ledger.archive").fetch_one(stack.pool()).await.unwrap();
        assert_eq!(recorded, 0, "{sql}");
    }
}

#[tokio::test]
async fn several_archives_at_once_make_one() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, LARGE, 7).await;
    let (_guard, path) = directory();
    let org = org_id.to_string();
    let printed = futures::future::join_all(
        (0..4).map(|_| run(&stack, ["archive", "--org", &org, "--before", FUTURE, "--to", &path])),
    )
    .await;
    assert!(printed.iter().any(|printed| printed.success));
    for printed in printed.iter().filter(|printed| !printed.success) {
        assert!(printed.stderr.contains("another process is archiving"), "{}", printed.stderr);
    }
    let ranges: Vec<(i64, i64)> =
        sqlx::query_as("SELECT first_seq, last_seq FROM ledger.archive").fetch_all(stack.pool()).await.unwrap();
    assert_eq!(ranges, [(1, LARGE as i64)]);
    assert_eq!(verdict(&stack, org_id, None).await["verdict"], "intact");
}

#[tokio::test]
async fn a_killed_archive_leaves_nothing_that_the_next_one_does_not_put_right() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 4 * LARGE, 7).await;
    let (_guard, path) = directory();
    let org = org_id.to_string();
    let folder = file(&path, org_id, 1, 1).parent().unwrap().to_owned();
    for _ in 0..3 {
        let mut command = runledger(&stack, ["archive", "--org", &org, "--before", FUTURE, "--to", &path]);
        let mut child = command.spawn().unwrap();
        // As soon as something is written.
        crate::harness::eventually("the file to be begun", async || std::fs::read_dir(&folder).ok()?.next().map(drop))
            .await;
        child.kill().await.unwrap();
        let recorded: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ledger.archive").fetch_one(stack.pool()).await.unwrap();
        if recorded == 1 {
            break;
        }
    }
    // A killed process's lock is free once its server noticed.
    crate::harness::eventually("the next archive", async || {
        let printed = run(&stack, ["archive", "--org", &org, "--before", FUTURE, "--to", &path]).await;
        printed.success.then_some(())
    })
    .await;
    assert_eq!(verdict(&stack, org_id, None).await["size"], 4 * LARGE as i64);
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [format!("1-{}.parquet", 4 * LARGE).as_str()]);
}

#[tokio::test]
async fn an_archive_of_nobody_or_to_nowhere_is_an_error_that_says_so() {
    let stack = idle_stack().await;
    let (_guard, path) = directory();
    let nobody = Uuid::new_v4().to_string();
    let printed = run(&stack, ["archive", "--org", &nobody, "--before", FUTURE, "--to", &path]).await;
    assert!(!printed.success && printed.stderr.contains(&nobody), "{}", printed.stderr);
    let org_id = org_of(&stack, 3, 2).await.to_string();
    for nowhere in ["ftp://host/archive", "/dev/null", "/dev/null/archive"] {
        let printed = run(&stack, ["archive", "--org", &org_id, "--before", FUTURE, "--to", nowhere]).await;
        assert!(!printed.success && printed.stderr.contains(nowhere), "{nowhere}: {}", printed.stderr);
    }
}

/// How many files `ledger.archive` has.
async fn recorded(stack: &Stack) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM ledger.archive").fetch_one(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn a_file_of_another_ledger_is_never_written_over() {
    let (one, other) = (idle_stack().await, idle_stack().await);
    let org_id = org_of(&one, 30, 7).await;
    // A clone that went its own way.
    append_org(&other, org_id, 30, 7).await;
    let (_guard, path) = directory();
    archive(&one, org_id, &path).await;
    let file = file(&path, org_id, 1, 30);
    let written = std::fs::read(&file).unwrap();
    let org = org_id.to_string();
    let refused = run(&other, ["archive", "--org", &org, "--before", FUTURE, "--to", &path]).await;
    let says = |text: &str| refused.stderr.contains(text);
    assert!(
        !refused.success && says("1-30.parquet stands there already") && says("seq 1 is another"),
        "{}",
        refused.stderr
    );
    assert_eq!((std::fs::read(&file).unwrap() == written, recorded(&other).await), (true, 0));
    assert_eq!(verdict(&one, org_id, None).await["verdict"], "intact");

    // What is no archive at all is left as it is too.
    std::fs::write(&file, "notes").unwrap();
    let refused = run(&other, ["archive", "--org", &org, "--before", FUTURE, "--to", &path]).await;
    assert!(!refused.success && refused.stderr.contains("stands there already"), "{}", refused.stderr);
    assert_eq!(std::fs::read(&file).unwrap(), b"notes");
}

#[tokio::test]
async fn a_file_that_stands_there_and_holds_exactly_these_events_is_taken() {
    let (stack, clone) = (idle_stack().await, idle_stack().await);
    let org_id = org_of(&stack, 30, 7).await;
    let (_guard, path) = directory();
    let first = archive(&stack, org_id, &path).await;
    assert_eq!(first["reused"], json!(false));
    let file = file(&path, org_id, 1, 30);
    let written = file.metadata().unwrap().modified().unwrap();
    let replay = format!("{path}/replay.ndjson");
    assert!(run(&stack, ["replay", "--to", &replay]).await.success);
    assert!(run(&clone, ["emit", "--restore", &replay]).await.success);
    // As an attempt leaves it that was killed before it could record its file.
    sqlx::raw_sql("DELETE FROM ledger.archive").execute(stack.pool()).await.unwrap();
    for ledger in [&stack, &clone] {
        let again = archive(ledger, org_id, &path).await;
        assert_eq!(again["reused"], json!(true));
        for key in ["archived", "event_bytes", "file_bytes", "root"] {
            assert_eq!(again[key], first[key], "{key}");
        }
        assert_eq!(verdict(ledger, org_id, None).await["verdict"], "intact");
        assert_eq!(recorded(ledger).await, 1);
    }
    assert_eq!(file.metadata().unwrap().modified().unwrap(), written);
}

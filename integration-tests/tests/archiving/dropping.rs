//! `archive --drop`: what it leaves, what it refuses, and that nobody notices while it is done.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use events::{Event, id::EventId};
use futures::StreamExt;
use ledger::{append::Outcome, read};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stack::Stack;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    FUTURE, append_events, archive, archive_and_drop, directory, file, forgery, in_table, org_of, run_events, verdict,
};
use crate::harness::{eventually, idle_stack, new_run, run, runledger};
use events::id::{OrgId, Seq};

#[tokio::test]
async fn dropped_events_leave_the_table_and_verify_still_proves_them() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 500, 7).await;
    let (_guard, path) = directory();
    archive(&stack, org_id, &path).await;
    append_events(&stack, &run_events(org_id, new_run(), 20)).await;
    let org = org_id.to_string();
    let dropped = run(&stack, ["archive", "--org", &org, "--drop"]).await;
    assert!(dropped.success && dropped.stdout.contains("dropped 500 events"), "{}{}", dropped.stdout, dropped.stderr);
    assert_eq!(in_table(&stack, org_id).await, (501..=520).collect::<Vec<_>>());
    let verified = run(&stack, ["verify", "--org", &org]).await;
    let said = "intact, 520 events of which 500 archived (proved by their leaf hashes only";
    assert!(verified.success && verified.stdout.contains(said), "{}", verified.stdout);
    let verified = verdict(&stack, org_id, None).await;
    assert_eq!((&verified["size"], &verified["archived"]), (&json!(520), &json!(500)));
    let again = run(&stack, ["archive", "--org", &org, "--drop"]).await;
    assert!(again.success && again.stdout.contains("nothing to drop"), "{}", again.stdout);

    // The next ones follow.
    let (_other_guard, elsewhere) = directory();
    let dropped = archive_and_drop(&stack, org_id, &elsewhere).await;
    assert_eq!((&dropped["dropped"], &dropped["last_seq"]), (&json!(20), &json!(520)));
    append_events(&stack, &run_events(org_id, new_run(), 3)).await;
    assert_eq!(in_table(&stack, org_id).await, [521, 522, 523]);
    assert_eq!(verdict(&stack, org_id, None).await["archived"], 520);
    let leavings: Vec<String> =
        sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname LIKE '%\\_rest'")
            .fetch_all(stack.pool())
            .await
            .unwrap();
    assert_eq!(leavings, [""; 0]);
}

#[tokio::test]
async fn an_archived_event_is_known_again_and_another_content_is_a_conflict() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 10, 3).await;
    let events = run_events(org_id, new_run(), 6);
    append_events(&stack, &events).await;
    let (_guard, path) = directory();
    archive_and_drop(&stack, org_id, &path).await;
    assert_eq!(in_table(&stack, org_id).await, [0_i64; 0]);
    for (event, outcome) in events.iter().zip(append_events(&stack, &events).await) {
        assert!(matches!(outcome, Outcome::Duplicate(seq) if seq.get() > 10), "{event:?}: {outcome:?}");
    }
    let mut same = events[2].clone();
    same.extensions = Some(r#"{"authid":"another"}"#.to_owned());
    let changes: [fn(&mut Event); 6] = [
        |event| event.event_type = "run.failed".to_owned(),
        |event| event.source.push('x'),
        |event| event.subject_id = new_run().subject(),
        |event| event.occurred_at += Duration::from_micros(1),
        |event| event.schema_version = 2,
        |event| event.data = format!("{} ", event.data).into(),
    ];
    let mut sent = vec![same];
    sent.extend(changes.iter().map(|change| {
        let mut event = events[3].clone();
        change(&mut event);
        event
    }));
    let outcomes = append_events(&stack, &sent).await;
    assert!(matches!(outcomes[0], Outcome::Duplicate(seq) if seq.get() == 13), "{:?}", outcomes[0]);
    for outcome in &outcomes[1..] {
        let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        assert!(refusal.code == events::Code::Conflict && refusal.reason.contains("seq 14"), "{}", refusal.reason);
    }
    assert_eq!(verdict(&stack, org_id, None).await["size"], 16);
}

#[tokio::test]
async fn nothing_is_dropped_that_the_archive_does_not_prove() {
    for spoil in ["missing", "forged", "table", "head"] {
        let stack = idle_stack().await;
        let org_id = org_of(&stack, 30, 7).await;
        let (_guard, path) = directory();
        archive(&stack, org_id, &path).await;
        append_events(&stack, &run_events(org_id, new_run(), 5)).await;
        let partition = format!("ledger.event_{}", org_id.uuid().simple());
        let sql = match spoil {
            "missing" => {
                std::fs::remove_file(file(&path, org_id, 1, 30)).unwrap();
                "SELECT".to_owned()
            }
            "forged" => {
                forgery::replace_data(&file(&path, org_id, 1, 30), 3, "{}");
                "SELECT".to_owned()
            }
            "table" => {
                format!(
                    "ALTER TABLE {partition} DISABLE TRIGGER ALL; UPDATE {partition} SET source = 'x' WHERE seq = 33"
                )
            }
            _ => format!("UPDATE ledger.head SET root = sha256('x') WHERE org_id = '{org_id}'"),
        };
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(stack.pool()).await.unwrap();
        let printed = run(&stack, ["archive", "--org", &org_id.to_string(), "--drop"]).await;
        assert!(!printed.success && printed.stderr.contains("nothing of org"), "{spoil}: {}", printed.stderr);
        assert_eq!(in_table(&stack, org_id).await.len(), 35, "{spoil}");
    }
}

#[tokio::test]
async fn what_was_kept_of_dropped_events_is_verified_too() {
    for (sql, verdict_expected, seq) in [
        ("DELETE FROM ledger.archived_event WHERE seq = 5", "missing", Some(5)),
        ("UPDATE ledger.archived_event SET leaf_hash = sha256('x') WHERE seq = 5", "archive", None),
        ("UPDATE ledger.archive SET root = sha256('x')", "archive", None),
        ("DELETE FROM ledger.archive", "missing", Some(1)),
        (
            "INSERT INTO ledger.event SELECT org_id, gen_random_uuid(), subject_id, 5, occurred_at, recorded_at, schema_version, leaf_hash,
                 event_type, source, correlation_id, causation_id, traceparent, extensions, data
             FROM ledger.event WHERE seq = 21",
            "changed",
            Some(5),
        ),
    ] {
        let stack = idle_stack().await;
        let org_id = org_of(&stack, 20, 7).await;
        let (_guard, path) = directory();
        archive_and_drop(&stack, org_id, &path).await;
        append_events(&stack, &run_events(org_id, new_run(), 5)).await;
        let script = format!("ALTER TABLE ledger.archived_event DISABLE TRIGGER ALL; {sql}");
        sqlx::raw_sql(AssertSqlSafe(script)).execute(stack.pool()).await.unwrap();
        let printed = run(&stack, ["verify", "--org", &org_id.to_string(), "--json"]).await;
        let found: Value = serde_json::from_str(&printed.stdout).unwrap();
        assert_eq!(found["verdict"], verdict_expected, "{sql}: {found}");
        if seq.is_some() {
            assert_eq!(found["seq"], json!(seq), "{sql}: {found}");
        }
    }
    // With the files, the event whose hash was changed is named.
    for column in ["leaf_hash", "content_hash", "subject_id", "event_id"] {
        let stack = idle_stack().await;
        let org_id = org_of(&stack, 20, 7).await;
        let (_guard, path) = directory();
        archive_and_drop(&stack, org_id, &path).await;
        let value = if column.ends_with("_id") { "gen_random_uuid()" } else { "sha256('x')" };
        let script = format!(
            "ALTER TABLE ledger.archived_event DISABLE TRIGGER ALL; UPDATE ledger.archived_event SET {column} = {value} WHERE seq = 5"
        );
        sqlx::raw_sql(AssertSqlSafe(script)).execute(stack.pool()).await.unwrap();
        let found = verdict(&stack, org_id, None).await;
        assert_eq!((&found["verdict"], &found["seq"]), (&json!("changed"), &json!(5)), "{column}: {found}");
    }
}

/// Appends runs to an org until it is told to stop: how many events, all of which must be appended.
async fn append_until(stack: &Stack, org_id: OrgId, stop: &AtomicBool) -> i64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let outcomes = append_events(stack, &run_events(org_id, new_run(), 5)).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Appended(_))), "{outcomes:?}");
        count += outcomes.len() as i64;
    }
    count
}

/// Reads all events of an org, again and again, until it is told to stop: how often.
async fn read_until(stack: &Stack, org_id: OrgId, stop: &AtomicBool) -> u32 {
    let mut conn = PgConnection::connect(stack.database_url()).await.unwrap();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let head = read::head(&mut conn, org_id).await.unwrap().unwrap();
        let mut expected = Seq::ZERO.next();
        let mut events = std::pin::pin!(read::events_between(&mut conn, org_id, Seq::ZERO, head));
        while let Some(recorded) = events.next().await {
            assert_eq!(recorded.unwrap().seq, expected);
            expected = expected.next();
        }
        assert_eq!(expected, head.next());
        count += 1;
    }
    count
}

#[tokio::test]
async fn appending_and_reading_go_on_during_a_drop() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 4_000, 7).await;
    let (_guard, path) = directory();
    let stop = AtomicBool::new(false);
    let (_, appended, other_reads, reads) = tokio::join!(
        async {
            for _ in 0..3 {
                let dropped = archive_and_drop(&stack, org_id, &path).await;
                assert!(dropped["dropped"].as_i64().unwrap() > 0, "{dropped}");
            }
            stop.store(true, Ordering::Relaxed);
        },
        append_until(&stack, org_id, &stop),
        read_until(&stack, org_id, &stop),
        read_until(&stack, org_id, &stop),
    );
    assert!(appended > 0 && reads > 0 && other_reads > 0);
    let verified = verdict(&stack, org_id, None).await;
    assert_eq!((&verified["verdict"], &verified["size"]), (&json!("intact"), &json!(4_000 + appended)));
}

#[tokio::test]
async fn a_long_reading_is_not_disturbed_by_a_drop_which_gives_way() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 50, 7).await;
    let (_guard, path) = directory();
    archive(&stack, org_id, &path).await;
    let mut long = stack.pool().begin().await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.event").fetch_one(&mut *long).await.unwrap();
    assert_eq!(seen, 50);
    let mut dropping = runledger(&stack, ["archive", "--org", &org_id.to_string(), "--drop"]).spawn().unwrap();
    // It waits, and nobody else waits for it.
    eventually("the drop to try the swap", async || {
        let trying: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'ledger.event'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)",
        )
        .fetch_one(stack.pool())
        .await
        .unwrap();
        trying.then_some(())
    })
    .await;
    for _ in 0..5 {
        let events = run_events(org_id, new_run(), 2);
        timeout(Duration::from_secs(5), append_events(&stack, &events)).await.expect("an append while the drop waits");
    }
    assert!(dropping.try_wait().unwrap().is_none());
    long.commit().await.unwrap();
    assert!(dropping.wait().await.unwrap().success());
    assert_eq!(in_table(&stack, org_id).await, (51..=60).collect::<Vec<_>>());
    assert_eq!(verdict(&stack, org_id, None).await["verdict"], "intact");
}

/// A drop that cannot get through, because of who reads in `long`.
pub(super) async fn waiting_drop(stack: &Stack, org_id: OrgId, long: &mut PgConnection) -> tokio::process::Child {
    sqlx::query("SELECT count(*) FROM ledger.event").execute(long).await.unwrap();
    let mut command = runledger(stack, ["archive", "--org", &org_id.to_string(), "--drop"]);
    let dropping = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    eventually("the drop to try the swap", async || {
        let trying: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'ledger.event'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)",
        )
        .fetch_one(stack.pool())
        .await
        .unwrap();
        trying.then_some(())
    })
    .await;
    dropping
}

#[tokio::test]
async fn a_killed_drop_has_dropped_all_or_nothing_and_the_next_one_finishes_it() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 12_000, 7).await;
    let (_guard, path) = directory();
    archive(&stack, org_id, &path).await;
    append_events(&stack, &run_events(org_id, new_run(), 300)).await;
    let org = org_id.to_string();
    let traces = [
        "SELECT EXISTS (SELECT FROM ledger.archived_event)",
        "SELECT EXISTS (SELECT FROM pg_class WHERE relname LIKE '%\\_rest')",
        "SELECT EXISTS (SELECT FROM ledger.archive WHERE dropped_at IS NOT NULL)",
    ];
    for trace in traces {
        let mut child = runledger(&stack, ["archive", "--org", &org, "--drop"]).spawn().unwrap();
        eventually(trace, async || {
            let found: bool = sqlx::query_scalar(trace).fetch_one(stack.pool()).await.unwrap();
            (found || child.try_wait().unwrap().is_some()).then_some(())
        })
        .await;
        child.kill().await.unwrap();
        eventually("the killed one's connections to be gone", async || {
            let held: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
            )
            .fetch_one(stack.pool())
            .await
            .unwrap();
            (!held).then_some(())
        })
        .await;
        let seqs = in_table(&stack, org_id).await;
        assert!(seqs.len() == 12_300 || seqs == (12_001..=12_300).collect::<Vec<_>>(), "{} events", seqs.len());
        assert_eq!(verdict(&stack, org_id, None).await["verdict"], "intact");
    }
    let printed = run(&stack, ["archive", "--org", &org, "--drop"]).await;
    assert!(printed.success, "{}", printed.stderr);
    assert_eq!(in_table(&stack, org_id).await, (12_001..=12_300).collect::<Vec<_>>());
    assert_eq!(verdict(&stack, org_id, None).await["archived"], 12_000);
}

#[tokio::test]
async fn the_new_partition_is_made_as_the_old_one_was() {
    let stack = idle_stack().await;
    let org_id = org_of(&stack, 20, 7).await;
    let (_guard, path) = directory();
    let shape = async || -> Vec<String> {
        sqlx::query_scalar(
            "SELECT concat_ws(' ', 'flags', relrowsecurity, relforcerowsecurity, relispartition, relacl::text) FROM pg_class WHERE oid = $1::regclass
             UNION ALL SELECT concat_ws(' ', 'trigger', tgname, tgenabled::text, tgtype) FROM pg_trigger WHERE tgrelid = $1::regclass
             UNION ALL SELECT concat_ws(' ', 'constraint', contype::text, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = $1::regclass
             UNION ALL SELECT concat_ws(' ', 'index', indisunique, indisvalid, indkey::text, (SELECT count(*) FROM pg_inherits WHERE inhrelid = indexrelid)) FROM pg_index WHERE indrelid = $1::regclass
             UNION ALL SELECT concat_ws(' ', 'column', attnum, attname, atttypid::regtype, attnotnull, attcompression::text) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0
             ORDER BY 1",
        )
        .bind(format!("ledger.event_{}", org_id.uuid().simple()))
        .fetch_all(stack.pool())
        .await
        .unwrap()
    };
    let before = shape().await;
    archive_and_drop(&stack, org_id, &path).await;
    assert_eq!(shape().await, before);
}

#[tokio::test]
async fn an_owner_who_is_no_superuser_archives_and_drops_and_a_service_user_does_not() {
    let stack = idle_stack().await;
    let name = format!("plain_{}", Uuid::new_v4().simple());
    let superuser = stack.pool();
    for sql in [
        format!("CREATE ROLE {name} LOGIN PASSWORD 'p' NOSUPERUSER CREATEROLE"),
        format!("GRANT runledger_ledger, runledger_projector, runledger_reader, runledger_admin TO {name}"),
        format!("CREATE ROLE {name}_service LOGIN PASSWORD 'p' NOSUPERUSER"),
        format!("GRANT runledger_ledger, runledger_admin TO {name}_service"),
        format!("CREATE DATABASE {name} OWNER {name}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(superuser).await.unwrap();
    }
    let url = |user: &str| {
        let (_, rest) = stack.database_url().rsplit_once('@').unwrap();
        format!("postgres://{user}:p@{}/{name}", rest.split_once('/').unwrap().0)
    };
    let (before_name, _) = stack.database_url().rsplit_once('/').unwrap();
    let mut conn = PgConnection::connect(&format!("{before_name}/{name}")).await.unwrap();
    sqlx::raw_sql("CREATE EXTENSION vector").execute(&mut conn).await.unwrap();
    let run_as = async |user: &str, arguments: &[&str]| {
        let mut command = runledger(&stack, []);
        command.args(arguments).env("RUNLEDGER_DATABASE_URL", url(user));
        let output = command.output().await.unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let service = format!("{name}_service");
    let (migrated, said) = run_as(&name, &["migrate"]).await;
    assert!(migrated, "{said}");

    let org_id = OrgId::generate();
    let registered: events::payload::OrgRegistered = serde_json::from_value(json!({ "name": "plain" })).unwrap();
    let mut appended = vec![Event::new(org_id, org_id.subject(), "/tests", &registered).unwrap()];
    appended.extend(run_events(org_id, new_run(), 30));
    let appended: Vec<&Event> = appended.iter().collect();
    let mut ledger = PgConnection::connect(&url(&service)).await.unwrap();
    sqlx::raw_sql("SET ROLE runledger_ledger").execute(&mut ledger).await.unwrap();
    ledger::append::make_partitions(&mut ledger, &appended).await.unwrap();
    let mut tx = ledger.begin().await.unwrap();
    ledger::append::append(&mut tx, &appended, ledger::now(), ledger::append::Ids::LookedUp).await.unwrap();
    tx.commit().await.unwrap();

    let (_guard, path) = directory();
    let org = org_id.to_string();
    let write = ["archive", "--org", &org, "--before", FUTURE, "--to", &path];
    let (archived, said) = run_as(&service, &write).await;
    assert!(!archived && said.contains("permission denied"), "{said}");
    let (archived, said) = run_as(&name, &write).await;
    assert!(archived, "{said}");
    let drop = ["archive", "--org", &org, "--drop"];
    let (dropped, said) = run_as(&service, &drop).await;
    assert!(!dropped && said.contains("permission denied"), "{said}");
    let (dropped, said) = run_as(&name, &drop).await;
    assert!(dropped && said.contains("dropped 31 events"), "{said}");
    let (intact, said) = run_as(&service, &["verify", "--archive"]).await;
    assert!(intact && said.contains("31 events of which 31 archived (read from the archive)"), "{said}");
    let again: Vec<Event> =
        appended.iter().map(|event| Event { event_id: EventId::generate(), ..(*event).clone() }).collect();
    let again: Vec<&Event> = again.iter().skip(1).collect();
    let mut tx = ledger.begin().await.unwrap();
    ledger::append::append(&mut tx, &again, ledger::now(), ledger::append::Ids::LookedUp).await.unwrap();
    tx.commit().await.unwrap();
    let (intact, said) = run_as(&service, &["verify"]).await;
    assert!(intact && said.contains("61 events"), "{said}");
}

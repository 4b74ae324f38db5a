//! Whoever reads events gets them all, wherever they stand.

use events::{
    RecordedEvent,
    id::{OrgId, RunId, Seq, SubjectId},
};
use futures::TryStreamExt;
use ledger::{
    read::{self, Limit},
    replay::{self, Selection},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use stack::Stack;
use uuid::Uuid;

use super::{append_events, archive_and_drop, directory, file, in_table, org_of, run_events};
use crate::harness::{Sent, new_run, run, runledger, size_reaches, stack};

/// More than are put into order at a time, and more than a row group holds.
const SIZE: usize = 10_000;

/// What every way of reading gives, in a role of the services.
async fn readings(stack: &Stack, org_id: OrgId, role: &str, subjects: &[SubjectId]) -> Vec<Vec<RecordedEvent>> {
    let mut conn = PgConnection::connect(stack.database_url()).await.unwrap();
    let set = format!("SET ROLE {role}; SET runledger.org_id = '{org_id}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut conn).await.unwrap();
    let conn = &mut conn;
    let head = read::head(conn, org_id).await.unwrap().unwrap();
    let mut readings = Vec::new();
    for (from, through) in [(0, head.get()), (1, 1), (4_000, 5_000), (head.get() - 3, head.get() + 9), (7, 6)] {
        let (from, through) = (Seq::new(from), Seq::new(through));
        readings.push(read::events_between(conn, org_id, from, through).try_collect().await.unwrap());
    }
    for through in [head, Seq::new(4_500), Seq::ZERO] {
        readings.push(read::events_by_subject(conn, org_id, &[], through).try_collect().await.unwrap());
        for families in [&[][..], &["run"], &["step"]] {
            let of_subjects = read::events_of_subjects(conn, org_id, subjects, families, through);
            readings.push(of_subjects.try_collect().await.unwrap());
        }
    }
    for families in [&[][..], &["run", "user"], &["org"], &["step"]] {
        for limit in [Limit { events_max: 999, bytes_max: 1 << 20 }, Limit { events_max: 5_000, bytes_max: 30_000 }] {
            let mut all = Vec::new();
            let mut after = Seq::ZERO;
            while after < head {
                let page = read::events_after(conn, org_id, after, families, limit).await.unwrap();
                assert!(page.events.len() as i64 <= limit.events_max && page.through > after, "{after:?}");
                assert!(page.events.last().is_none_or(|last| last.seq <= page.through));
                all.extend(page.events);
                after = page.through;
            }
            readings.push(all);
        }
    }
    readings
}

#[tokio::test]
async fn every_way_of_reading_gives_the_same_before_and_after_a_drop() {
    let stack = crate::harness::idle_stack().await;
    let org_id = org_of(&stack, SIZE, 7).await;
    let long = new_run();
    append_events(&stack, &run_events(org_id, long, 1_500)).await;
    let (_guard, path) = directory();
    let runs: Vec<RunId> = sqlx::query_scalar::<_, Uuid>(
        "SELECT DISTINCT subject_id FROM ledger.event WHERE org_id = $1 AND seq % 11 = 0 LIMIT 400",
    )
    .bind(org_id.uuid())
    .fetch_all(stack.pool())
    .await
    .unwrap()
    .into_iter()
    .map(|uuid| uuid.try_into().unwrap())
    .collect();
    // Of some runs there are later events, which stay in the table; and one run is only there.
    archive_later(&stack, org_id, &runs, long, &path).await;
}

async fn archive_later(stack: &Stack, org_id: OrgId, runs: &[RunId], long: RunId, path: &str) {
    let mut subjects: Vec<SubjectId> = runs.iter().map(|run| run.subject()).collect();
    let young = new_run();
    subjects.extend([long.subject(), young.subject(), org_id.subject(), new_run().subject()]);
    super::archive(stack, org_id, path).await;
    for run_id in runs.iter().take(50).chain([&long, &young]) {
        append_events(stack, &run_events(org_id, *run_id, 3)).await;
    }
    let mut before = Vec::new();
    for role in ["runledger_projector", "runledger_admin", "runledger_reader"] {
        before.push(readings(stack, org_id, role, &subjects).await);
    }
    assert!(before.windows(2).all(|pair| pair[0] == pair[1]));
    let printed = run(stack, ["archive", "--org", &org_id.to_string(), "--drop"]).await;
    assert!(printed.success, "{}", printed.stderr);
    assert_eq!(in_table(stack, org_id).await.len(), 52 * 3);
    for (role, before) in ["runledger_projector", "runledger_admin", "runledger_reader"].iter().zip(before) {
        let after = readings(stack, org_id, role, &subjects).await;
        for (index, (after, before)) in after.iter().zip(&before).enumerate() {
            assert!(after == before, "{role}: reading {index} gives {} events, not {}", after.len(), before.len());
        }
    }
}

#[tokio::test]
async fn a_late_event_of_an_archived_run_gives_the_row_of_its_whole_history() {
    let mut stack = stack().await;
    let org_id = stack.register_org("late").await.unwrap();
    let (run_id, other) = (new_run(), new_run());
    let send = async |run_id: RunId, event_type: &str, data: Value| {
        Sent::valid(org_id, event_type, run_id.uuid(), data).publish(&stack).await
    };
    send(run_id, "run.started", json!({ "channel": "efax", "context": { "first": "1" } })).await;
    send(run_id, "step.started", json!({ "step_id": Uuid::new_v4(), "step_number": 1 })).await;
    send(other, "run.started", json!({})).await;
    size_reaches(&stack, org_id, 4).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    let (_guard, path) = directory();
    archive_and_drop(&stack, org_id, &path).await;
    assert_eq!(in_table(&stack, org_id).await, [0_i64; 0]);
    // Whoever has the run in its memory is gone.
    stack.stop_services().await;
    stack.start_services().unwrap();
    Sent::valid(org_id, "run.completed", run_id.uuid(), json!({ "context": { "last": "2" } }))
        .with("ce-time", "2026-01-05T11:00:00Z")
        .publish(&stack)
        .await;
    let shown = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    assert_eq!(shown["channel"], "efax");
    assert_eq!(shown["context"], json!({ "first": "1", "last": "2" }));
    assert_eq!(shown["duration_ms"], 3_600_000);
    assert_eq!(shown["steps"].as_array().unwrap().len(), 1);
    let printed = run(&stack, ["runs", "show", &run_id.uuid().to_string(), "--json"]).await;
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!((&printed["channel"], &printed["steps"][0]["step_number"]), (&json!("efax"), &json!(1)));
}

#[tokio::test]
async fn replay_gives_and_tail_shows_archived_events() {
    let stack = crate::harness::idle_stack().await;
    let org_id = org_of(&stack, 40, 7).await;
    let (_guard, path) = directory();
    let replay = async || run(&stack, ["replay", "--to", "-"]).await.stdout;
    let replayed = replay().await;
    assert_eq!(replayed.lines().count(), 40);
    archive_and_drop(&stack, org_id, &path).await;
    assert_eq!(replay().await, replayed);
    append_events(&stack, &run_events(org_id, new_run(), 2)).await;
    let org = org_id.to_string();
    let printed = run(&stack, ["tail", "--org", &org, "--from", "1", "--no-follow", "--json"]).await;
    let seqs: Vec<i64> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=42).collect::<Vec<_>>(), "{}", printed.stderr);
}

#[tokio::test]
async fn a_file_that_is_gone_or_damaged_is_an_error_and_never_a_wrong_row() {
    let mut stack = stack().await;
    let org_id = stack.register_org("gone").await.unwrap();
    let run_id = new_run();
    let started = json!({ "channel": "web", "context": { "first": "1" } });
    Sent::valid(org_id, "run.started", run_id.uuid(), started).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    let (_guard, path) = directory();
    archive_and_drop(&stack, org_id, &path).await;
    let file = file(&path, org_id, 1, 2);
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).unwrap();
    let printed = run(&stack, ["tail", "--org", &org_id.to_string(), "--from", "1", "--no-follow"]).await;
    assert!(!printed.success && printed.stderr.contains("1-2.parquet"), "{}", printed.stderr);
    stack.stop_services().await;
    stack.start_services().unwrap();
    Sent::valid(org_id, "run.completed", run_id.uuid(), json!({}))
        .with("ce-time", "2026-01-05T11:00:00Z")
        .publish(&stack)
        .await;
    size_reaches(&stack, org_id, 3).await;
    // A forged payload is no better than none.
    std::fs::copy(&away, &file).unwrap();
    super::forgery::replace_data(&file, 1, r#"{"channel":"forged"}"#);
    let printed = run(&stack, ["tail", "--org", &org_id.to_string(), "--from", "1", "--no-follow"]).await;
    assert!(!printed.success && printed.stderr.contains("damaged at seq 2"), "{}", printed.stderr);
    let shown = stack.run(org_id, run_id).await.unwrap().unwrap();
    assert_eq!((&shown["status"], &shown["channel"]), (&json!("running"), &json!("web")));
    std::fs::rename(&away, &file).unwrap();
    let shown = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    assert_eq!(shown["context"], json!({ "first": "1" }));
}

#[tokio::test]
async fn a_forger_who_makes_the_leaf_hash_fit_is_found_by_whoever_reads() {
    let mut stack = stack().await;
    let org_id = stack.register_org("forged").await.unwrap();
    let run_id = new_run();
    let started = json!({ "channel": "web" });
    Sent::valid(org_id, "run.started", run_id.uuid(), started).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
    let mut conn = PgConnection::connect(stack.database_url()).await.unwrap();
    let seq = Seq::new(2);
    let events: Vec<_> = read::events_between(&mut conn, org_id, seq, seq).try_collect().await.unwrap();
    let mut forged = events[0].clone();
    forged.event.data = r#"{"channel":"forged"}"#.to_owned().into();
    let leaf_hash = ledger::merkle::leaf_hash(&forged.event, seq, forged.recorded_at);
    let (_guard, path) = directory();
    archive_and_drop(&stack, org_id, &path).await;
    super::forgery::replace(&file(&path, org_id, 1, 2), 1, &forged.event.data, Some(leaf_hash));
    stack.stop_services().await;

    let (org, run_text) = (org_id.to_string(), run_id.uuid().to_string());
    let readers: [&[&str]; 4] = [
        &["tail", "--org", &org, "--from", "1", "--no-follow"],
        &["replay", "--org", &org, "--to", "-"],
        &["runs", "history", &run_text],
        &["rebuild", "user_workflow_run", "--dry-run"],
    ];
    for arguments in readers {
        let output = runledger(&stack, []).args(arguments).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains("seq 2") && said.contains("not the one"),
            "{arguments:?}: {said}"
        );
    }
    let found = super::verdict(&stack, org_id, None).await;
    assert_eq!((&found["verdict"], &found["seq"]), (&json!("changed"), &json!(2)));
}

#[tokio::test]
async fn a_replay_reads_a_row_group_once_for_all_its_pages() {
    let stack = crate::harness::idle_stack().await;
    let org_id = org_of(&stack, 3_000, 7).await;
    let (_guard, path) = directory();
    archive_and_drop(&stack, org_id, &path).await;
    let mut conn = PgConnection::connect(stack.database_url()).await.unwrap();
    let selection = Selection { orgs: vec![org_id], ..Selection::default() };
    let stretches = replay::stretches(&mut conn, &selection).await.unwrap();
    let mut pages = replay::pages(&mut conn, &selection, &stretches[0]);
    let mut events = pages.try_next().await.unwrap().unwrap().events.len();
    assert!(events < 1_000, "a page of {events} events");
    // All are of one row group, which is in memory by now.
    std::fs::remove_file(file(&path, org_id, 1, 3_000)).unwrap();
    while let Some(page) = pages.try_next().await.unwrap() {
        events += page.events.len();
    }
    assert_eq!(events, 3_000);
}

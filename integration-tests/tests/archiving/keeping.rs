//! What stays in the database of dropped events: that all of it does, and that nobody changes it unseen.

use std::time::Duration;

use events::{Event, id::OrgId};
use serde_json::{Value, json};
use stack::Stack;
use tokio::time::timeout;

use super::{
    append_events, archive, directory, dropping::waiting_drop, execute, in_table, org_of, run_events, verdict,
};
use crate::harness::{eventually, idle_stack, new_run, run};

/// Events of which more is kept than of others: an import's, and a correction.
fn events_with_provenance(org_id: OrgId) -> Vec<Event> {
    let mut events = run_events(org_id, new_run(), 4);
    for event in &mut events[..3] {
        event.extensions = Some(r#"{"importid":"an import"}"#.to_owned());
    }
    events[3].event_type = "run.retracted".to_owned();
    events[3].data = r#"{"reason":"r"}"#.to_owned().into();
    events
}

/// An org of 20 events that is archived, those at seq 17 to 20 with a provenance.
async fn org_with_provenance(stack: &Stack, path: &str) -> OrgId {
    let org_id = org_of(stack, 16, 7).await;
    append_events(stack, &events_with_provenance(org_id)).await;
    archive(stack, org_id, path).await;
    org_id
}

/// As a hand would that owns the tables.
async fn tamper(stack: &Stack, sql: &str) {
    let tables = ["ledger.archived_event", "ledger.archived_provenance"];
    let [off, on] = ["DISABLE", "ENABLE ALWAYS"].map(|how| {
        let of_table = |table: &str| {
            ["refuse_change", "refuse_truncate"].map(|it| format!("ALTER TABLE {table} {how} TRIGGER {it};")).concat()
        };
        tables.map(of_table).concat()
    });
    execute(stack, format!("{off} {sql}; {on}")).await;
}

#[tokio::test]
async fn what_is_lacking_of_what_a_killed_drop_kept_is_kept_by_the_next_one() {
    let stack = idle_stack().await;
    let (_guard, path) = directory();
    let org_id = org_with_provenance(&stack, &path).await;
    let mut long = stack.pool().begin().await.unwrap();
    waiting_drop(&stack, org_id, &mut long).await.kill().await.unwrap();
    long.commit().await.unwrap();
    tamper(
        &stack,
        "DELETE FROM ledger.archived_event WHERE seq IN (5, 19); DELETE FROM ledger.archived_provenance WHERE seq = 19",
    )
    .await;
    eventually("the killed one's locks to be free", async || {
        run(&stack, ["archive", "--org", &org_id.to_string(), "--drop"]).await.success.then_some(())
    })
    .await;
    assert_eq!(in_table(&stack, org_id).await, [0_i64; 0]);
    assert!(run(&stack, ["verify"]).await.success);
    assert_eq!(verdict(&stack, org_id, None).await["archived"], 20);
    let provenances: Vec<i64> = sqlx::query_scalar("SELECT seq FROM ledger.archived_provenance ORDER BY seq")
        .fetch_all(stack.pool())
        .await
        .unwrap();
    assert_eq!(provenances, [17, 18, 19, 20]);
}

#[tokio::test]
async fn nothing_is_dropped_of_which_less_or_other_is_kept_than_has_to_be() {
    for sql in [
        "DELETE FROM ledger.archived_event WHERE seq = 5",
        "DELETE FROM ledger.archived_provenance WHERE seq = 19",
        "UPDATE ledger.archived_event SET is_of_run = NOT is_of_run WHERE seq = 5",
    ] {
        let stack = idle_stack().await;
        let (_guard, path) = directory();
        let org_id = org_with_provenance(&stack, &path).await;
        let mut long = stack.pool().begin().await.unwrap();
        let dropping = waiting_drop(&stack, org_id, &mut long).await;
        tamper(&stack, sql).await;
        // While it cannot get through, it looks before each attempt.
        let ended = timeout(Duration::from_secs(60), dropping.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success() && said.contains("not what has to stay of them"), "{sql}: {said}");
        long.commit().await.unwrap();
        assert_eq!(in_table(&stack, org_id).await.len(), 20, "{sql}");
    }
}

#[tokio::test]
async fn everything_that_is_kept_of_dropped_events_is_verified_with_and_without_the_files() {
    let beyond = "INSERT INTO ledger.archived_event
                  SELECT org_id, gen_random_uuid(), subject_id, 21, is_of_run, leaf_hash, content_hash FROM ledger.archived_event WHERE seq = 5";
    let beyond_provenance = "INSERT INTO ledger.archived_provenance
                  SELECT org_id, gen_random_uuid(), subject_id, 21, event_type, source, occurred_at, recorded_at FROM ledger.archived_provenance WHERE seq = 19";
    let superfluous = "INSERT INTO ledger.archived_provenance
                  SELECT org_id, event_id, subject_id, seq, 'run.retracted', '/x', now(), now() FROM ledger.archived_event WHERE seq = 5";
    for (sql, without_files, with_files) in [
        ("UPDATE ledger.archived_event SET is_of_run = NOT is_of_run WHERE seq = 5", "archive", Some(5)),
        ("UPDATE ledger.archived_event SET content_hash = sha256('x') WHERE seq = 5", "archive", Some(5)),
        ("DELETE FROM ledger.archived_provenance WHERE seq = 19", "archive", Some(19)),
        ("UPDATE ledger.archived_provenance SET import_id = 'another' WHERE seq = 18", "archive", Some(18)),
        ("UPDATE ledger.archived_provenance SET event_type = 'run.reinstated' WHERE seq = 20", "archive", Some(20)),
        ("UPDATE ledger.archived_provenance SET occurred_at = 'infinity' WHERE seq = 20", "archive", Some(20)),
        (superfluous, "archive", Some(5)),
        (beyond, "beyond_archive", None),
        (beyond_provenance, "beyond_archive", None),
    ] {
        let stack = idle_stack().await;
        let (_guard, path) = directory();
        let org_id = org_with_provenance(&stack, &path).await;
        let org = org_id.to_string();
        assert!(run(&stack, ["archive", "--org", &org, "--drop"]).await.success);
        append_events(&stack, &run_events(org_id, new_run(), 3)).await;
        assert!(run(&stack, ["verify"]).await.success);
        assert_eq!(verdict(&stack, org_id, None).await["verdict"], "intact");
        tamper(&stack, sql).await;
        let printed = run(&stack, ["verify", "--org", &org, "--json"]).await;
        let found: Value = serde_json::from_str(&printed.stdout).unwrap();
        assert!(!printed.success && found["verdict"] == without_files, "{sql}: {found}");
        let found = verdict(&stack, org_id, None).await;
        let expected = with_files.map_or((json!("beyond_archive"), json!(21)), |seq| (json!("changed"), json!(seq)));
        assert_eq!((found["verdict"].clone(), found["seq"].clone()), expected, "{sql}: {found}");
    }
}

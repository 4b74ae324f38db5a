//! `runledger verify` finds whatever was done to the tables behind the ledger's back, and what the
//! ledger stores agrees with the definition of its hashes, written down here a second time.

mod definition;

use std::collections::BTreeMap;

use events::id::OrgId;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, run, size_reaches, stack};

/// Events of each org, the registration among them.
const SIZE: i64 = 6;

/// What is done to an org's tables (`$event`: its partition, `$org`: its id as a literal) and what
/// verify must find: the verdict, and the seq it names.
struct Tampering {
    name: &'static str,
    sql: &'static str,
    verdict: &'static str,
    seq: Option<i64>,
}

const fn found(name: &'static str, sql: &'static str, verdict: &'static str, seq: i64) -> Tampering {
    Tampering { name, sql, verdict, seq: Some(seq) }
}

const fn other_root(name: &'static str, sql: &'static str) -> Tampering {
    Tampering { name, sql, verdict: "other_root", seq: None }
}

const TAMPERINGS: &[Tampering] = &[
    found("data changed", "UPDATE $event SET data = '{\"n\": 9}' WHERE seq = 4", "changed", 4),
    found("white space in data changed", "UPDATE $event SET data = (data::text || ' ')::json WHERE seq = 4", "changed", 4),
    found("occurred_at moved by a microsecond", "UPDATE $event SET occurred_at = occurred_at + interval '1 us' WHERE seq = 2", "changed", 2),
    found("recorded_at moved", "UPDATE $event SET recorded_at = recorded_at - interval '1 us' WHERE seq = 3", "changed", 3),
    found("source changed", "UPDATE $event SET source = '/elsewhere' WHERE seq = 6", "changed", 6),
    found("type changed", "UPDATE $event SET event_type = 'custom.other' WHERE seq = 3", "changed", 3),
    found("subject changed", "UPDATE $event SET subject_id = gen_random_uuid() WHERE seq = 3", "changed", 3),
    found("event id changed", "UPDATE $event SET event_id = gen_random_uuid() WHERE seq = 3", "changed", 3),
    found("event id nil", "UPDATE $event SET event_id = '00000000-0000-0000-0000-000000000000' WHERE seq = 3", "changed", 3),
    found("version changed", "UPDATE $event SET schema_version = 2 WHERE seq = 3", "changed", 3),
    found("extensions removed", "UPDATE $event SET extensions = NULL WHERE seq = 5", "changed", 5),
    found("extensions changed", "UPDATE $event SET extensions = '{\"authid\":\"b\"}' WHERE seq = 5", "changed", 5),
    found("extensions added", "UPDATE $event SET extensions = '{}' WHERE seq = 4", "changed", 4),
    found("correlation id changed", "UPDATE $event SET correlation_id = 'other' WHERE seq = 5", "changed", 5),
    found("correlation id removed", "UPDATE $event SET correlation_id = NULL WHERE seq = 5", "changed", 5),
    found("correlation id emptied", "UPDATE $event SET correlation_id = '' WHERE seq = 5", "changed", 5),
    found("causation id added", "UPDATE $event SET causation_id = '' WHERE seq = 4", "changed", 4),
    found("correlation and causation id swapped", "UPDATE $event SET causation_id = correlation_id, correlation_id = NULL WHERE seq = 5", "changed", 5),
    found("traceparent changed", "UPDATE $event SET traceparent = '00' WHERE seq = 5", "changed", 5),
    found("leaf hash changed", "UPDATE $event SET leaf_hash = sha256('x') WHERE seq = 4", "changed", 4),
    found("a letter moved from type to source", "UPDATE $event SET event_type = event_type || '/', source = substr(source, 2) WHERE seq = 4", "changed", 4),
    found("two rows changed", "UPDATE $event SET source = '/x' WHERE seq IN (5, 3)", "changed", 3),
    found("first row deleted", "DELETE FROM $event WHERE seq = 1", "missing", 1),
    found("middle row deleted", "DELETE FROM $event WHERE seq = 3", "missing", 3),
    found("tail deleted", "DELETE FROM $event WHERE seq >= 5", "missing", 5),
    found("all rows deleted", "DELETE FROM $event", "missing", 1),
    found("row renumbered behind the head", "UPDATE $event SET seq = 90 WHERE seq = 2", "missing", 2),
    found(
        "a pair swapped",
        "UPDATE $event SET seq = 90 WHERE seq = 2; UPDATE $event SET seq = 2 WHERE seq = 3; UPDATE $event SET seq = 3 WHERE seq = 90",
        "changed",
        2,
    ),
    found("partition dropped", "DROP TABLE $event", "missing", 1),
    found("partition detached", "ALTER TABLE ledger.event DETACH PARTITION $event", "missing", 1),
    found("partition emptied by TRUNCATE", "TRUNCATE $event", "missing", 1),
    found(
        "a row beyond the head",
        "INSERT INTO $event SELECT org_id, gen_random_uuid(), subject_id, 7, occurred_at, recorded_at, schema_version, leaf_hash,
             event_type, source, correlation_id, causation_id, traceparent, extensions, data FROM $event WHERE seq = 6",
        "beyond_head",
        7,
    ),
    found("head set back", "UPDATE ledger.head SET size = 4, frontier = frontier[1:1] WHERE org_id = $org", "beyond_head", 5),
    found("head set forward", "UPDATE ledger.head SET size = 8 WHERE org_id = $org", "missing", 7),
    found("head deleted", "DELETE FROM ledger.head WHERE org_id = $org", "beyond_head", 1),
    other_root("root changed", "UPDATE ledger.head SET root = sha256('x') WHERE org_id = $org"),
    other_root("frontier changed", "UPDATE ledger.head SET frontier[1] = sha256('x') WHERE org_id = $org"),
    other_root("frontier emptied", "UPDATE ledger.head SET frontier = '{}' WHERE org_id = $org"),
];

/// An org with [`SIZE`] events, the fifth of which has something in every column.
async fn org(stack: &Stack, name: &str) -> OrgId {
    let org_id = stack.register_org(name).await.unwrap();
    for n in 2..=SIZE {
        let mut sent = Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({ "n": n }));
        if n == 5 {
            sent = sent.with("ce-authid", "a").with("ce-correlationid", "c").with("ce-traceparent", "00-1-2-01");
        }
        sent.publish(stack).await;
    }
    size_reaches(stack, org_id, SIZE).await;
    org_id
}

fn partition(org_id: OrgId) -> String {
    format!("ledger.event_{}", org_id.uuid().simple())
}

/// As a superuser might: with the triggers that protect the table out of the way.
async fn tamper(stack: &Stack, org_id: OrgId, sql: &str) {
    let sql = sql.replace("$event", &partition(org_id)).replace("$org", &format!("'{org_id}'"));
    let script = format!("ALTER TABLE {} DISABLE TRIGGER ALL; {sql}", partition(org_id));
    sqlx::raw_sql(AssertSqlSafe(script)).execute(stack.pool()).await.unwrap();
}

async fn verdicts(stack: &Stack) -> (bool, BTreeMap<String, Value>) {
    let printed = run(stack, ["verify", "--json"]).await;
    assert_eq!(printed.stderr, "", "verify itself failed");
    let objects = printed.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let by_org = objects.map(|object| (object["org_id"].as_str().unwrap().to_owned(), object)).collect();
    (printed.success, by_org)
}

#[tokio::test]
async fn an_intact_ledger_is_said_to_be_intact_with_its_root() {
    let stack = stack().await;
    let org_id = org(&stack, "intact").await;
    let root: String = sqlx::query_scalar("SELECT encode(root, 'hex') FROM ledger.head WHERE org_id = $1")
        .bind(org_id.uuid())
        .fetch_one(stack.pool())
        .await
        .unwrap();
    let (success, verdicts) = verdicts(&stack).await;
    assert!(success);
    // The shared org is there too.
    assert_eq!(verdicts.len(), 2, "{verdicts:?}");
    assert_eq!(
        verdicts[&org_id.to_string()],
        json!({ "org_id": org_id, "verdict": "intact", "size": SIZE, "root": root })
    );
    let printed = run(&stack, ["verify", "--org", &org_id.to_string()]).await;
    assert!(printed.success, "{}", printed.stderr);
    assert_eq!(printed.stdout.lines().count(), 1, "{}", printed.stdout);
    for part in [&org_id.to_string(), "intact", "6 events", &root] {
        assert!(printed.stdout.contains(part), "{part}: {}", printed.stdout);
    }
}

#[tokio::test]
async fn whatever_was_tampered_with_is_found_and_the_lowest_seq_named() {
    let mut stack = stack().await;
    let mut orgs = Vec::new();
    for tampering in TAMPERINGS {
        orgs.push((tampering, org(&stack, tampering.name).await));
    }
    let intact = org(&stack, "left alone").await;
    stack.stop_services().await;
    for (tampering, org_id) in &orgs {
        tamper(&stack, *org_id, tampering.sql).await;
    }
    let (success, verdicts) = verdicts(&stack).await;
    assert!(!success);
    assert_eq!(verdicts[&intact.to_string()]["verdict"], "intact");
    let mut faults = Vec::new();
    for (tampering, org_id) in orgs {
        let mut expected = json!({ "org_id": org_id, "verdict": tampering.verdict });
        if let Some(seq) = tampering.seq {
            expected["seq"] = json!(seq);
        }
        let verdict = verdicts.get(&org_id.to_string()).unwrap_or(&Value::Null);
        if *verdict != expected {
            faults.push(format!("{}: {verdict}, not {expected}", tampering.name));
        }
        let printed = run(&stack, ["verify", "--org", &org_id.to_string()]).await;
        let named = match tampering.seq {
            Some(seq) => printed.stdout.contains(&format!("seq {seq}")),
            None => !printed.stdout.contains("seq "),
        };
        if printed.success || !named || !printed.stdout.contains(&org_id.to_string()) {
            faults
                .push(format!("{}: success {}, {}{}", tampering.name, printed.success, printed.stdout, printed.stderr));
        }
    }
    assert!(faults.is_empty(), "{} faults\n- {}", faults.len(), faults.join("\n- "));
}

#[tokio::test]
async fn data_and_leaf_hash_replaced_together_are_found_by_the_root() {
    let mut stack = stack().await;
    let org_id = org(&stack, "replaced").await;
    stack.stop_services().await;
    tamper(&stack, org_id, "UPDATE $event SET data = '{\"n\":99}' WHERE seq = 4").await;
    let forged = definition::leaf_hashes(&stack, org_id).await.remove(3);
    let update = format!("UPDATE {} SET leaf_hash = $1 WHERE seq = 4", partition(org_id));
    sqlx::query(AssertSqlSafe(update)).bind(forged).execute(stack.pool()).await.unwrap();
    let (success, verdicts) = verdicts(&stack).await;
    assert!(!success);
    assert_eq!(verdicts[&org_id.to_string()], json!({ "org_id": org_id, "verdict": "other_root" }));
    let printed = run(&stack, ["verify", "--org", &org_id.to_string()]).await;
    assert!(!printed.success && !printed.stdout.contains("seq "), "{}", printed.stdout);
}

#[tokio::test]
async fn a_time_that_no_clock_shows_is_a_changed_event_like_any_other() {
    let mut stack = stack().await;
    let mut orgs = Vec::new();
    for (column, time) in [
        ("occurred_at", "infinity"),
        ("occurred_at", "-infinity"),
        ("recorded_at", "infinity"),
        ("occurred_at", "294276-01-01"),
        ("occurred_at", "4713-01-01 BC"),
    ] {
        orgs.push((column, time, org(&stack, time).await));
    }
    stack.stop_services().await;
    let mut faults = Vec::new();
    for (column, time, org_id) in orgs {
        tamper(&stack, org_id, &format!("UPDATE $event SET {column} = '{time}' WHERE seq = 2")).await;
        let printed = run(&stack, ["verify", "--org", &org_id.to_string()]).await;
        if printed.success || !printed.stdout.contains("seq 2") {
            faults.push(format!("{column} {time}: {}{:.200}", printed.stdout, printed.stderr));
        }
    }
    assert!(faults.is_empty(), "{} faults\n- {}", faults.len(), faults.join("\n- "));
}

#[tokio::test]
async fn an_org_that_nobody_knows_is_an_error_that_names_it() {
    let stack = stack().await;
    let nobody = Uuid::new_v4().to_string();
    let printed = run(&stack, ["verify", "--org", &nobody]).await;
    assert!(!printed.success && printed.stderr.contains(&nobody), "{}", printed.stderr);
}

#[tokio::test]
async fn what_the_ledger_stored_agrees_with_the_definition() {
    let stack = stack().await;
    let org_id = org(&stack, "by the definition").await;
    let mut size = SIZE;
    // One more each time, so that trees of several shapes are looked at.
    for n in 0..7 {
        let sent = Sent::valid(org_id, "custom.Ünï", Uuid::new_v4(), json!({ "text": "患者 😀" }))
            .with("ce-time", ["1969-07-20T20:17:40.000001Z", "2026-01-05T10:00:00.999999Z"][n % 2])
            .with("ce-source", &"/s".repeat(n + 1))
            .with("ce-causationid", &"é".repeat(20_000 * (n % 2)))
            .with("ce-dataschema", &format!("urn:runledger:custom.Ünï:{}", 1 + 300 * n));
        sent.publish(&stack).await;
        size += 1;
        size_reaches(&stack, org_id, size).await;
        let defined = definition::leaf_hashes(&stack, org_id).await;
        let stored: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT leaf_hash FROM ledger.event WHERE org_id = $1 ORDER BY seq")
                .bind(org_id.uuid())
                .fetch_all(stack.pool())
                .await
                .unwrap();
        assert_eq!(stored.len() as i64, size);
        for (index, (stored, defined)) in stored.iter().zip(&defined).enumerate() {
            assert_eq!(stored, defined, "the leaf hash of seq {}", index + 1);
        }
        let root: Vec<u8> = sqlx::query_scalar("SELECT root FROM ledger.head WHERE org_id = $1")
            .bind(org_id.uuid())
            .fetch_one(stack.pool())
            .await
            .unwrap();
        assert_eq!(root, definition::root(&stack, stored).await, "the root over {size} events");
    }
}

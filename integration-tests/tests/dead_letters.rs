//! Dead letters through the real binary: list, show, retry, discard; what the database refuses; the
//! notices that tell of them.

use bytes::Bytes;
use events::id::OrgId;
use futures::StreamExt;
use serde_json::{Value, json};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Printed, Sent, dead_letter_code, eventually, idle_stack, run, size, size_reaches, stack};

const ESCAPES: &str = "\u{1b}[31m\u{202e}";

fn objects(printed: &Printed) -> Vec<Value> {
    printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn letter_id(stack: &Stack, stream_seq: u64) -> String {
    dead_letter_code(stack, stream_seq).await;
    sqlx::query_scalar("SELECT dead_letter_id::text FROM ledger.dead_letter WHERE stream_seq = $1")
        .bind(stream_seq as i64)
        .fetch_one(stack.pool())
        .await
        .unwrap()
}

/// A stack with an org and, refused in this order: one of an unknown type, one of malformed JSON full of
/// escape codes.
async fn two_letters() -> (Stack, OrgId, String, String) {
    let stack = stack().await;
    let org_id = stack.register_org("refused").await.unwrap();
    let unknown = Sent::valid(org_id, "run.exploded", Uuid::new_v4(), json!({})).publish(&stack).await;
    let malformed = Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({}))
        .with("ce-authid", ESCAPES)
        .carrying(format!("{{{ESCAPES}"))
        .publish(&stack)
        .await;
    let ids = (letter_id(&stack, unknown).await, letter_id(&stack, malformed).await);
    (stack, org_id, ids.0, ids.1)
}

#[tokio::test]
async fn letters_are_listed_newest_first_and_filtered() {
    let (stack, org_id, unknown, malformed) = two_letters().await;
    let nobodys = Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({})).to("runledger.events.acme.custom.a");
    let nobodys = letter_id(&stack, nobodys.publish(&stack).await).await;
    let ids = |printed: &Printed| -> Vec<String> {
        assert!(printed.success, "{}", printed.stderr);
        objects(printed).iter().map(|letter| letter["dead_letter_id"].to_string()).collect()
    };
    let org = org_id.to_string();
    let all = run(&stack, ["dead-letters", "list", "--json"]).await;
    assert_eq!(ids(&all), [nobodys.as_str(), &malformed, &unknown]);
    assert_eq!(objects(&all)[0]["org_id"], Value::Null);
    assert_eq!(ids(&run(&stack, ["dead-letters", "list", "--org", &org, "--json"]).await), [&*malformed, &unknown]);
    let of_code = run(&stack, ["dead-letters", "list", "--code", "unknown_type", "--json"]).await;
    assert_eq!(ids(&of_code), [&*unknown]);
    let page = run(&stack, ["dead-letters", "list", "--limit", "1", "--before", &nobodys, "--json"]).await;
    assert_eq!(ids(&page), [&*malformed]);
    assert_eq!(ids(&run(&stack, ["dead-letters", "list", "--state", "retried", "--json"]).await), [""; 0]);
    let unheard_of = run(&stack, ["dead-letters", "list", "--code", "nonsense"]).await;
    assert!(!unheard_of.success && unheard_of.stderr.contains("nonsense"), "{}", unheard_of.stderr);
}

#[tokio::test]
async fn a_letter_is_shown_whole_and_inert() {
    let (stack, org_id, _, malformed) = two_letters().await;
    for printed in
        [run(&stack, ["dead-letters", "list"]).await, run(&stack, ["dead-letters", "show", &malformed]).await]
    {
        assert!(printed.success, "{}", printed.stderr);
        assert!(printed.stdout.contains("malformed_json"), "{}", printed.stdout);
        let active = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!printed.stdout.contains(active), "{:?}", printed.stdout);
    }
    let table = run(&stack, ["dead-letters", "show", &malformed]).await.stdout;
    assert!(table.contains(r"{\u{1b}[31m\u{202e}"), "the payload: {table}");
    let shown = run(&stack, ["dead-letters", "show", &malformed, "--json"]).await;
    let letter = &objects(&shown)[0];
    let expected = json!({
        "org_id": org_id, "code": "malformed_json", "state": "open", "attempts": 1, "payload_base64": null,
        "payload": format!("{{{ESCAPES}"), "subject": format!("runledger.events.{org_id}.custom.a"),
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&letter[name], value, "{name}");
    }
    assert_eq!(letter["headers"]["ce-authid"], ESCAPES);
    assert!(!shown.stdout.contains('\u{1b}'), "{:?}", shown.stdout);
    let missing = run(&stack, ["dead-letters", "show", "999999"]).await;
    assert!(!missing.success && missing.stderr.contains("999999"), "{}", missing.stderr);
}

#[tokio::test]
async fn a_payload_that_is_no_text_is_shown_as_base64() {
    let stack = stack().await;
    let org_id = stack.register_org("bytes").await.unwrap();
    let sent = Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({})).carrying(b"\"\xFF\"".to_vec());
    let id = letter_id(&stack, sent.publish(&stack).await).await;
    let letter = objects(&run(&stack, ["dead-letters", "show", &id, "--json"]).await).remove(0);
    assert_eq!((&letter["payload"], &letter["payload_base64"]), (&Value::Null, &json!("Iv8i")));
}

async fn standing(stack: &Stack, id: &str) -> (String, String, i32) {
    sqlx::query_as("SELECT state, code, attempts FROM ledger.dead_letter WHERE dead_letter_id = $1::bigint")
        .bind(id)
        .fetch_one(stack.pool())
        .await
        .unwrap()
}

fn stands(state: &str, code: &str, attempts: i32) -> (String, String, i32) {
    (state.to_owned(), code.to_owned(), attempts)
}

#[tokio::test]
async fn a_retry_that_fails_again_stays_open_with_the_new_code() {
    let (stack, _, unknown, _) = two_letters().await;
    // As if an older version had refused it for another reason.
    sqlx::query("UPDATE ledger.dead_letter SET code = 'database_refused' WHERE dead_letter_id = $1::bigint")
        .bind(&unknown)
        .execute(stack.pool())
        .await
        .unwrap();
    let retried = run(&stack, ["dead-letters", "retry", &unknown, "--json"]).await;
    assert!(!retried.success, "a refusal must show in the exit code");
    assert_eq!(objects(&retried)[0]["code"], "unknown_type");
    assert_eq!(standing(&stack, &unknown).await, stands("open", "unknown_type", 2));
    let said = run(&stack, ["dead-letters", "retry", "--code", "unknown_type"]).await;
    assert!(!said.success && said.stdout.contains("refused again"), "{}", said.stdout);
    assert_eq!(standing(&stack, &unknown).await, stands("open", "unknown_type", 3));
}

#[tokio::test]
async fn a_retry_whose_reason_has_gone_is_appended() {
    let stack = stack().await;
    let org_id = stack.register_org("retried").await.unwrap();
    let (event, id) = refused_by_the_database(&stack, org_id).await;
    allow(&stack, org_id).await;
    let retried = run(&stack, ["dead-letters", "retry", &id, "--json"]).await;
    assert!(retried.success, "{}{}", retried.stdout, retried.stderr);
    let seq = size(&stack, org_id).await;
    assert_eq!(objects(&retried), [json!({ "id": id.parse::<i64>().unwrap(), "org_id": org_id, "seq": seq })]);
    assert_eq!(standing(&stack, &id).await, stands("retried", "database_refused", 2));
    let stored: (Uuid, String) =
        sqlx::query_as("SELECT event_id, data::text FROM ledger.event WHERE org_id = $1 AND seq = $2")
            .bind(org_id.uuid())
            .bind(seq)
            .fetch_one(stack.pool())
            .await
            .unwrap();
    assert_eq!(stored, (event.header("ce-id").parse().unwrap(), String::from_utf8(event.payload).unwrap()));
    let again = run(&stack, ["dead-letters", "retry", &id]).await;
    assert!(!again.success && again.stderr.contains("retried"), "{}", again.stderr);
    assert_eq!(size(&stack, org_id).await, seq);
}

#[tokio::test]
async fn a_retry_that_finds_its_event_appended_already_counts_as_retried() {
    let stack = stack().await;
    let org_id = stack.register_org("appended already").await.unwrap();
    let (event, id) = refused_by_the_database(&stack, org_id).await;
    allow(&stack, org_id).await;
    event.publish(&stack).await;
    size_reaches(&stack, org_id, 2).await;
    let seq: i64 = sqlx::query_scalar("SELECT seq FROM ledger.event WHERE event_id = $1::uuid")
        .bind(event.header("ce-id"))
        .fetch_one(stack.pool())
        .await
        .unwrap();
    let retried = run(&stack, ["dead-letters", "retry", &id, "--json"]).await;
    assert!(retried.success, "{}{}", retried.stdout, retried.stderr);
    assert_eq!(objects(&retried)[0]["seq"], seq);
    assert_eq!(standing(&stack, &id).await, stands("retried", "database_refused", 2));
    assert_eq!(size(&stack, org_id).await, 2);
}

#[tokio::test]
async fn a_discarded_letter_stays_on_record_and_a_purged_one_without_its_content() {
    let (stack, _, unknown, malformed) = two_letters().await;
    let content = async |id: &str| -> (String, i32, String) {
        sqlx::query_as("SELECT state, octet_length(payload), headers::text FROM ledger.dead_letter WHERE dead_letter_id = $1::bigint")
            .bind(id)
            .fetch_one(stack.pool())
            .await
            .unwrap()
    };
    let discarded = run(&stack, ["dead-letters", "discard", &unknown]).await;
    assert!(discarded.success, "{}", discarded.stderr);
    let (state, payload_bytes, headers) = content(&unknown).await;
    assert!(state == "discarded" && payload_bytes == 2 && headers.contains("ce-id"), "{headers}");

    let purged = run(&stack, ["dead-letters", "discard", "--purge", &malformed, &unknown]).await;
    assert!(purged.success, "{}", purged.stderr);
    for id in [&malformed, &unknown] {
        assert_eq!(content(id).await, ("discarded".to_owned(), 0, "{}".to_owned()));
    }
    let retried = run(&stack, ["dead-letters", "retry", &malformed]).await;
    assert!(!retried.success && retried.stderr.contains("discarded"), "{}", retried.stderr);
    let open = run(&stack, ["dead-letters", "list", "--json"]).await;
    assert_eq!(open.stdout, "");
    let discarded = run(&stack, ["dead-letters", "list", "--state", "discarded", "--json"]).await;
    assert_eq!(objects(&discarded).len(), 2);
    let missing = run(&stack, ["dead-letters", "discard", "999999"]).await;
    assert!(!missing.success && missing.stderr.contains("999999"), "{}", missing.stderr);
}

fn partition(org_id: OrgId) -> String {
    format!("ledger.event_{}", org_id.uuid().simple())
}

/// Lets the database refuse, for its data, what the door lets through.
async fn forbid(stack: &Stack, org_id: OrgId) {
    let partition = partition(org_id);
    let constraint =
        format!("ALTER TABLE {partition} ADD CONSTRAINT forbidden CHECK (data::text NOT LIKE '%culprit%')");
    sqlx::raw_sql(sqlx::AssertSqlSafe(constraint)).execute(stack.pool()).await.unwrap();
}

async fn allow(stack: &Stack, org_id: OrgId) {
    let partition = partition(org_id);
    let constraint = format!("ALTER TABLE {partition} DROP CONSTRAINT forbidden");
    sqlx::raw_sql(sqlx::AssertSqlSafe(constraint)).execute(stack.pool()).await.unwrap();
}

async fn refused_by_the_database(stack: &Stack, org_id: OrgId) -> (Sent, String) {
    size_reaches(stack, org_id, 1).await;
    forbid(stack, org_id).await;
    let event = Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({ "is": "culprit" }));
    let stream_seq = event.publish(stack).await;
    assert_eq!(dead_letter_code(stack, stream_seq).await, "database_refused");
    (event, letter_id(stack, stream_seq).await)
}

#[tokio::test]
async fn of_a_batch_that_the_database_refuses_the_culprits_alone_become_dead_letters() {
    let mut stack = idle_stack().await;
    let org_id = stack.register_org("one batch").await.unwrap();
    sqlx::query("SELECT ledger.make_partition($1)").bind(org_id.uuid()).execute(stack.pool()).await.unwrap();
    forbid(&stack, org_id).await;
    let other = stack.register_org("a neighbour").await.unwrap();
    let mut expected = Vec::new();
    let mut culprits = Vec::new();
    for index in 0..40 {
        let is_culprit = index == 17 || index == 39;
        let data = if is_culprit { json!({ "culprit": index }) } else { json!({ "index": index }) };
        let sent = Sent::valid(org_id, "custom.a", Uuid::new_v4(), data);
        let stream_seq = sent.publish(&stack).await;
        match is_culprit {
            true => culprits.push(stream_seq as i64),
            false => expected.push(sent.header("ce-id").to_owned()),
        }
        // Refused for reasons of their own, in the same batch.
        if index % 10 == 0 {
            Sent::valid(org_id, "run.exploded", Uuid::new_v4(), json!({})).publish(&stack).await;
        }
        Sent::valid(other, "custom.a", Uuid::new_v4(), json!({})).publish(&stack).await;
    }
    stack.start_services().unwrap();
    size_reaches(&stack, org_id, 1 + 38).await;
    size_reaches(&stack, other, 1 + 40).await;
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT event_id::text FROM ledger.event WHERE org_id = $1 AND seq > 1 ORDER BY seq")
            .bind(org_id.uuid())
            .fetch_all(stack.pool())
            .await
            .unwrap();
    assert_eq!(ids, expected, "not all neighbours, or not in the order they were sent");
    eventually("all letters", async || {
        let letters: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ledger.dead_letter").fetch_one(stack.pool()).await.unwrap();
        (letters == 2 + 4).then_some(())
    })
    .await;
    let refused: Vec<(i64, String)> = sqlx::query_as(
        "SELECT stream_seq, reason FROM ledger.dead_letter WHERE code = 'database_refused' ORDER BY stream_seq",
    )
    .fetch_all(stack.pool())
    .await
    .unwrap();
    assert_eq!(refused.iter().map(|(stream_seq, _)| *stream_seq).collect::<Vec<_>>(), culprits);
    assert!(refused.iter().all(|(_, reason)| reason.contains("forbidden")), "{refused:?}");
    let verified = run(&stack, ["verify"]).await;
    assert!(verified.success, "{}", verified.stdout);
}

#[tokio::test]
async fn appends_and_refusals_are_announced_on_core_subjects() {
    let stack = stack().await;
    let org_id = stack.register_org("announced").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    let mut appended = stack.client().subscribe(format!("runledger.appended.{org_id}")).await.unwrap();
    let mut refused = stack.client().subscribe("runledger.dead_letters.*").await.unwrap();
    stack.client().flush().await.unwrap();
    let notice = async |subscriber: &mut async_nats::Subscriber| -> (String, Value) {
        let message =
            tokio::time::timeout(std::time::Duration::from_secs(30), subscriber.next()).await.unwrap().unwrap();
        let payload: Bytes = message.payload;
        (message.subject.to_string(), serde_json::from_slice(&payload).unwrap())
    };

    Sent::valid(org_id, "custom.a", Uuid::new_v4(), json!({})).publish(&stack).await;
    // Commits that follow each other closely are announced as one.
    let mut announced = notice(&mut appended).await.1;
    while announced["last"] == json!(1) {
        announced = notice(&mut appended).await.1;
    }
    let first = announced["first"].clone();
    assert_eq!(announced, json!({ "org_id": org_id, "first": first, "last": 2 }));
    assert!(first == json!(1) || first == json!(2), "{announced}");

    let unknown = Sent::valid(org_id, "run.exploded", Uuid::new_v4(), json!({}));
    let stream_seq = unknown.publish(&stack).await;
    let (subject, body) = notice(&mut refused).await;
    assert_eq!(subject, format!("runledger.dead_letters.{org_id}"));
    assert_eq!(
        (&body["code"], &body["stream_seq"], &body["subject"]),
        (&json!("unknown_type"), &json!(stream_seq), &json!(unknown.subject))
    );
    assert!(body.get("payload").is_none(), "what was refused may be anybody's: {body}");

    let nobodys = unknown.to("runledger.events.acme.run.exploded");
    nobodys.publish(&stack).await;
    let (subject, body) = notice(&mut refused).await;
    assert_eq!(
        (subject.as_str(), &body["org_id"], &body["code"]),
        ("runledger.dead_letters.unknown", &Value::Null, &json!("org_mismatch"))
    );
}

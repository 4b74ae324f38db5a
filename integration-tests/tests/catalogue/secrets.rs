//! A payload with a secret is refused, and the secret stands nowhere afterwards.

use base64::{Engine, prelude::BASE64_STANDARD};
use events::id::OrgId;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use stack::Stack;
use uuid::Uuid;

use crate::harness::{Sent, dead_letter_code, run, stack};

const SECRET: &str = "hunter2-4711";

/// An event in structured mode, whose data stands under that name.
fn structured(org_id: OrgId, member: &str, data: Value) -> Sent {
    let sent = Sent::valid(org_id, "endpoint.registered", Uuid::new_v4(), json!({}));
    let mut event = json!({});
    for (name, value) in &sent.headers {
        event[name.strip_prefix("ce-").unwrap()] = json!(value);
    }
    event[member] = data;
    Sent { headers: Vec::new(), ..sent }.carrying(event.to_string())
}

/// Where the secret stands in the database, in whatever table, as text or in bytes.
async fn leaks(stack: &Stack) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('public', 'ledger', 'rebuild', 'replaced') AND c.relkind IN ('r', 'p')",
    )
    .fetch_all(stack.pool())
    .await
    .unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let mut leaks = Vec::new();
    for table in tables {
        let secrets = [SECRET.to_owned(), BASE64_STANDARD.encode(SECRET), BASE64_STANDARD.encode(format!("x{SECRET}"))];
        for secret in secrets {
            let query = format!(
                "SELECT t::text FROM {table} t WHERE t::text LIKE '%{secret}%' OR t::text LIKE '%' || encode('{secret}', 'hex') || '%'"
            );
            leaks.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).fetch_all(stack.pool()).await.unwrap());
        }
    }
    leaks
}

#[tokio::test]
async fn a_secret_is_refused_however_it_is_sent_and_stands_in_no_table() {
    let stack = stack().await;
    let org_id = stack.register_org("careless").await.unwrap();
    let endpoint = |data: Value| Sent::valid(org_id, "endpoint.registered", Uuid::new_v4(), data);
    let with_password = json!({ "name": "portal", "settings": { "login": { "password": SECRET } } });
    let broken = with_password.to_string().replace("}}}", "");
    let encoded = json!(BASE64_STANDARD.encode(with_password.to_string()));
    let mut letters = Vec::new();
    for sent in [
        endpoint(with_password.clone()),
        endpoint(json!({ "name": "portal", "base_url": format!("https://user:{SECRET}@portal.example") })),
        endpoint(json!({ "name": "portal", "not_a_field": { "token": SECRET } })),
        endpoint(json!({ "name": "portal", "secret_ref": format!("{SECRET}!") })),
        endpoint(json!({})).carrying(broken),
        endpoint(with_password.clone()).without("ce-id"),
        endpoint(with_password.clone()).to(&format!("runledger.events.{org_id}.run.started")),
        Sent::valid(org_id, "endpoint.exploded", Uuid::new_v4(), with_password.clone()),
        Sent::valid(org_id, "portal_type.defined", Uuid::new_v4(), with_password.clone()),
        structured(org_id, "data", with_password.clone()),
        structured(org_id, "data_base64", encoded),
    ] {
        let stream_seq = sent.publish(&stack).await;
        letters.push((dead_letter_code(&stack, stream_seq).await, sent.subject));
    }
    assert!(letters.iter().all(|(code, _)| code == "secret_in_payload"), "{letters:#?}");
    assert_eq!(leaks(&stack).await, [""; 0]);
    let harmless = json!({ "name": "portal", "secret_ref": "prod/portal", "settings": { "token_url": "https://portal.example/t" } });
    endpoint(harmless).publish(&stack).await;
    super::projected(&stack, org_id, 2).await;
}

#[tokio::test]
async fn the_letter_keeps_all_but_the_payload_and_cannot_be_retried() {
    let stack = stack().await;
    let org_id = stack.register_org("careless").await.unwrap();
    let data = json!({ "name": "portal", "settings": { "password": SECRET } });
    let binary = Sent::valid(org_id, "endpoint.registered", Uuid::new_v4(), data.clone());
    let event_id = binary.header("ce-id").to_owned();
    for (sent, kept) in [(binary, "headers"), (structured(org_id, "data", data), "payload")] {
        dead_letter_code(&stack, sent.publish(&stack).await).await;
        let listed = run(&stack, ["dead-letters", "list", "--limit", "1", "--json"]).await;
        let letter: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert!(letter[kept].to_string().contains("endpoint.registered"), "{letter}");
        assert!(letter["reason"].as_str().unwrap().starts_with("data.settings.password"), "{letter}");
        let id = letter["dead_letter_id"].to_string();
        let shown = run(&stack, ["dead-letters", "show", &id]).await;
        assert!(shown.success && shown.stdout.contains("without data"), "{}{}", shown.stdout, shown.stderr);
        for attempts in [2, 3] {
            let retried = run(&stack, ["dead-letters", "retry", &id]).await;
            assert!(!retried.success && retried.stdout.contains("publish the event again"), "{}", retried.stdout);
            let again = run(&stack, ["dead-letters", "list", "--limit", "1", "--json"]).await;
            let again: Value = serde_json::from_str(&again.stdout).unwrap();
            assert_eq!((&again["attempts"], &again[kept]), (&json!(attempts), &letter[kept]));
            assert_eq!(again["reason"], letter["reason"]);
        }
        assert!(run(&stack, ["dead-letters", "discard", &id]).await.success);
    }
    assert_eq!(leaks(&stack).await, [""; 0]);
    let headers: Value = sqlx::query_scalar("SELECT headers FROM ledger.dead_letter ORDER BY dead_letter_id LIMIT 1")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(headers["ce-id"], event_id);
}

#[tokio::test]
async fn a_letter_from_before_the_type_was_known_loses_its_payload_when_it_is_tried_again() {
    let stack = stack().await;
    let org_id = stack.register_org("careless").await.unwrap();
    let sent = Sent::valid(org_id, "endpoint.registered", Uuid::new_v4(), json!({ "name": "p", "password": SECRET }));
    let stream_seq = sent.publish(&stack).await;
    dead_letter_code(&stack, stream_seq).await;
    // As an older version has kept it.
    sqlx::query("UPDATE ledger.dead_letter SET code = 'unknown_type', payload = $1 WHERE stream_seq = $2")
        .bind(&sent.payload)
        .bind(stream_seq as i64)
        .execute(stack.pool())
        .await
        .unwrap();
    assert_eq!(leaks(&stack).await.len(), 1);
    let retried = run(&stack, ["dead-letters", "retry", "--code", "unknown_type"]).await;
    assert!(!retried.success && retried.stdout.contains("secret_in_payload"), "{}{}", retried.stdout, retried.stderr);
    assert_eq!(leaks(&stack).await, [""; 0]);
}

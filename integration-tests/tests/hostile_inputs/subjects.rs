//! Subjects: the org and the type that stand there are the ones that count.

use serde_json::{Value, json};
use uuid::Uuid;

use super::cases::{Cases, Structured};
use crate::harness::dead_letter_code;

#[tokio::test]
async fn what_disagrees_with_the_subject_is_refused_in_both_modes() {
    let mut cases = Cases::start().await;
    let (org, other) = (cases.org_id.to_string(), Uuid::new_v4().to_string());
    let list = [
        ("another orgid", "orgid", other.as_str(), "org_mismatch"),
        ("another type", "type", "custom.other", "type_mismatch"),
        ("a type that the subject begins with", "type", "custom", "type_mismatch"),
        ("a type that begins with the subject's", "type", "custom.probed.more", "type_mismatch"),
        ("the type in upper case", "type", "CUSTOM.PROBED", "type_mismatch"),
        ("an empty type", "type", "", "type_mismatch"),
    ];
    for (name, attribute, value, code) in list {
        let binary = cases.valid().with(&format!("ce-{attribute}"), value);
        cases.refused(&format!("binary: {name}"), binary, code).await;
        let members = json!({ attribute: value });
        let structured = Structured::with_members(cases.org_id, "custom.probed", Uuid::new_v4(), members, "{}");
        cases.refused(&format!("structured: {name}"), structured.sent, code).await;
    }
    let upper = cases.valid().with("ce-orgid", &org.to_uppercase());
    cases.appended("the orgid in upper case, which is the same org", upper).await;
    cases.all_hold().await;
}

#[tokio::test]
async fn an_org_token_that_is_no_org_is_refused() {
    let mut cases = Cases::start().await;
    let org = cases.org_id.to_string();
    let braces = format!("{{{org}}}");
    let list = [
        ("in upper case", org.to_uppercase(), "org_mismatch"),
        ("without hyphens", org.replace('-', ""), "org_mismatch"),
        ("in braces", braces, "org_mismatch"),
        ("a name", "acme".to_owned(), "org_mismatch"),
        ("a digit short", org[1..].to_owned(), "org_mismatch"),
        ("nil", Uuid::nil().to_string(), "invalid_id"),
    ];
    for (name, token, code) in list {
        let sent = cases.valid().to(&format!("runledger.events.{token}.custom.probed"));
        cases.refused(name, sent, code).await;
    }
    cases.all_hold().await;
    let of_no_org: Vec<String> = sqlx::query_scalar(
        "SELECT split_part(subject, '.', 3) FROM ledger.dead_letter WHERE org_id IS NULL ORDER BY 1",
    )
    .fetch_all(cases.stack.pool())
    .await
    .unwrap();
    assert_eq!(of_no_org.len(), 5, "letters that belong to no org: {of_no_org:?}");
}

#[tokio::test]
async fn types_that_nobody_knows_are_refused_and_custom_ones_are_not() {
    let mut cases = Cases::start().await;
    for event_type in
        ["run.exploded", "run", "RUN.started", "custom", "customs.run", "run.started.twice", "catalog.item_added"]
    {
        let sent = cases.event(event_type, json!({}));
        cases.refused(event_type, sent, "unknown_type").await;
    }
    let newer = cases.event("run.started", json!({})).with("ce-dataschema", "urn:runledger:run.started:2");
    cases.refused("a newer version", newer, "unknown_version").await;
    let second = |version: i16| {
        let data = json!({ "step_id": Uuid::new_v4(), "screenshots": [{ "uri": "" }] });
        let dataschema = format!("urn:runledger:step.screenshot_captured:{version}");
        cases.event("step.screenshot_captured", data).with("ce-dataschema", &dataschema)
    };
    let (known, newer) = (second(2), second(3));
    cases.refused_saying("a second version", known, "invalid_event", "data.screenshots[0]").await;
    cases.refused_saying("a third version", newer, "unknown_version", "up to version 2").await;
    for event_type in ["custom.a", "custom.a.b.c", "custom.Ünï", "custom.\"'<>;--"] {
        let sent = cases.event(event_type, json!([1]));
        cases.appended(event_type, sent).await;
    }
    cases.all_hold().await;
}

#[tokio::test]
async fn an_event_about_an_org_has_that_org_as_its_subject() {
    let mut cases = Cases::start().await;
    let sent = cases.event("org.updated", json!({ "name": "x" }));
    cases.refused_saying("another subject", sent, "invalid_event", "subject").await;
    cases.all_hold().await;
}

#[tokio::test]
async fn a_subject_without_a_type_does_not_reach_the_stream() {
    let cases = Cases::start().await;
    let sent = cases.valid();
    let subject = format!("runledger.events.{}", cases.org_id);
    let jetstream = async_nats::jetstream::new(cases.stack.client().clone());
    let published = jetstream.publish(subject, sent.payload.into()).await.unwrap().await;
    assert!(published.is_err(), "{published:?}");
}

#[tokio::test]
async fn the_partition_numbers_of_the_stream_cannot_be_published_to() {
    let cases = Cases::start().await;
    // As the stream stores it: the transform puts another number in front, and the number is no org.
    let sent = cases.valid();
    let stored = sent.subject.replace("runledger.events.", "runledger.events.3.");
    let stream_seq = sent.to(&stored).publish(&cases.stack).await;
    assert_eq!(dead_letter_code(&cases.stack, stream_seq).await, "org_mismatch");
    let subject: Value = sqlx::query_scalar("SELECT to_jsonb(subject) FROM ledger.dead_letter WHERE stream_seq = $1")
        .bind(stream_seq as i64)
        .fetch_one(cases.stack.pool())
        .await
        .unwrap();
    assert_eq!(subject, json!(stored));
}

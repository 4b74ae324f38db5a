//! A replay to NATS: what was sent arrives again, with its place in the ledger.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    Message,
    jetstream::{self, consumer::pull, stream},
};
use futures::StreamExt;
use serde_json::{Value, json};
use stack::Stack;

use super::{odd_org, org, replay, stack};
use crate::harness::{run, shared_events};

async fn messages(messages: &mut (impl StreamExt<Item = Message> + Unpin), count: usize) -> Vec<Message> {
    let mut all = Vec::new();
    while all.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(30), messages.next()).await;
        all.push(next.unwrap_or_else(|_| panic!("{} of {count} messages came", all.len())).unwrap());
    }
    all
}

/// Subject, headers and body of each message as the ledger's rows say that they must be.
async fn assert_are_the_events(stack: &Stack, prefix: &str, messages: &[Message]) {
    let query = "SELECT to_jsonb(e) - 'data' - 'leaf_hash' || jsonb_build_object('text', data::text, 'ext', extensions,
                     'occurred_us', extract(epoch FROM occurred_at) * 1000000, 'recorded_us', extract(epoch FROM recorded_at) * 1000000)
                 FROM ledger.event e WHERE org_id = $1 ORDER BY seq";
    let org: uuid::Uuid = messages[0].subject.split('.').nth(prefix.split('.').count()).unwrap().parse().unwrap();
    let rows: Vec<Value> = sqlx::query_scalar(query).bind(org).fetch_all(stack.pool()).await.unwrap();
    assert_eq!(messages.len(), rows.len());
    for (message, row) in messages.iter().zip(&rows) {
        let headers: BTreeMap<String, String> = message
            .headers
            .iter()
            .flat_map(|headers| headers.iter())
            .map(|(name, values)| (name.to_string().to_lowercase(), values[0].to_string()))
            .collect();
        let text = |name: &str| row[name].as_str().unwrap();
        assert_eq!(message.subject.as_str(), format!("{prefix}.{org}.{}", text("event_type")));
        assert_eq!(message.payload, text("text"), "seq {}", row["seq"]);
        assert_eq!(headers["nats-msg-id"], format!("{org}:{}", text("event_id")));
        assert_eq!(headers["ce-id"], text("event_id"));
        assert_eq!(headers["ce-ledgerseq"], row["seq"].to_string());
        let micros = |time: &str| events::time::parse(time).unwrap().timestamp_micros() as f64;
        assert_eq!(micros(&headers["ce-time"]), row["occurred_us"].as_f64().unwrap());
        assert_eq!(micros(&headers["ce-recordedtime"]), row["recorded_us"].as_f64().unwrap());
        for (name, value) in row["ext"].as_object().into_iter().flatten().filter(|(name, _)| *name != "b") {
            assert_eq!(headers[&format!("ce-{name}")], value.as_str().unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_gets_every_event_once_and_acknowledges_it() {
    let stack = stack().await;
    let org_id = odd_org(&stack).await;
    let jetstream = jetstream::new(stack.client().clone());
    let config = stream::Config { name: "AUDIT".into(), subjects: vec!["audit.>".into()], ..Default::default() };
    let mut audit = jetstream.create_stream(config).await.unwrap();
    let size = super::rows(&stack, Some(org_id)).await.len();
    for _ in 0..2 {
        let replayed = replay(&stack, "nats:audit.replay", &["--org", &org_id.to_string()]).await;
        assert!(replayed.success, "{}", replayed.stderr);
        assert_eq!(audit.info().await.unwrap().state.messages, size as u64, "the stream knows the ids");
    }
    let consumer = audit.create_consumer(pull::Config::default()).await.unwrap();
    let delivered = consumer.messages().await.unwrap().map(|message| message.unwrap().message.clone());
    let delivered = messages(&mut Box::pin(delivered), size).await;
    assert_are_the_events(&stack, "audit.replay", &delivered).await;
}

#[tokio::test]
async fn where_no_stream_listens_subscribers_get_the_events() {
    let stack = stack().await;
    let org_id = org(&stack, 40).await;
    let mut subscription = stack.client().subscribe(format!("plain.{org_id}.>")).await.unwrap();
    stack.client().flush().await.unwrap();
    let replayed = replay(&stack, "nats:plain", &["--json"]).await;
    assert!(replayed.success, "{}", replayed.stderr);
    let summary: Value = serde_json::from_str(replayed.stdout.lines().last().unwrap()).unwrap();
    // The shared org is there too.
    assert_eq!(summary, json!({ "to": "nats:plain", "events": 41 + shared_events(), "orgs": 2 }));
    let delivered = messages(&mut subscription, 41).await;
    assert_are_the_events(&stack, "plain", &delivered).await;
}

#[tokio::test]
async fn events_are_never_sent_back_to_the_ledger() {
    let stack = stack().await;
    let org_id = org(&stack, 1).await;
    for prefix in ["runledger.events", "runledger.events.replay", "runledger.*", ""] {
        let refused = run(&stack, ["replay", "--to", &format!("nats:{prefix}")]).await;
        assert!(!refused.success && refused.stderr.contains(&format!("nats:{prefix}")), "{prefix}: {}", refused.stderr);
    }
    // Events with a place in a ledger are not for the stream, whoever sends them.
    let line = replay(&stack, "-", &["--org", &org_id.to_string()]).await.stdout;
    let folder = super::Folder::new();
    std::fs::write(folder.file("replayed"), line).unwrap();
    let emitted = run(&stack, ["emit", &folder.file("replayed")]).await;
    assert!(!emitted.success && emitted.stderr.contains("ledgerseq"), "{}", emitted.stderr);
}

#[tokio::test]
async fn a_rate_is_kept() {
    let stack = stack().await;
    let org_id = org(&stack, 30).await.to_string();
    let begun = std::time::Instant::now();
    let printed = replay(&stack, "-", &["--org", &org_id, "--rate", "40"]).await;
    assert_eq!(printed.stdout.lines().count(), 31);
    assert!(begun.elapsed() > Duration::from_millis(600), "31 events at 40 a second took {:?}", begun.elapsed());
    for rate in ["0", "-1", "inf", "many"] {
        assert!(!replay(&stack, "-", &["--rate", rate]).await.success, "{rate}");
    }
}

//! The stream as the ledger keeps it: made where it is missing, trimmed behind the cursor, read from
//! its start when it was made anew, refused when it could lose events.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream;
use events::id::SHARED_ORG;
use ledger::{
    connection::{Database, Outage, Role},
    ingest::Ingest,
    nats::Nats,
    stream::{EventStream, STREAM, StreamError},
};
use serde_json::json;
use stack::Stack;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{Sent, eventually, idle_stack, new_run, shared_events, size, size_reaches, stack};

/// A ledger that keeps appended messages for so long.
async fn ledger_keeping(stack: &Stack, keep: Duration) -> (CancellationToken, JoinHandle<()>) {
    let shutdown = CancellationToken::new();
    let ingest = Ingest {
        database: Database::new(stack.database_url(), Role::Ledger).unwrap(),
        nats: Nats::connect(stack.nats_url(), Arc::new(Outage::of("NATS"))).await.unwrap(),
        postgres: Arc::new(Outage::of("PostgreSQL")),
        keep: Some(chrono::Duration::from_std(keep).unwrap()),
        recent: None,
    };
    let task = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { ingest.run(shutdown).await.unwrap() }
    });
    (shutdown, task)
}

async fn messages(stack: &Stack) -> u64 {
    let stream = jetstream::new(stack.client().clone()).get_stream(STREAM).await.unwrap();
    stream.cached_info().state.messages
}

#[tokio::test]
async fn appended_messages_are_removed_after_the_keep_period_and_not_missed() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("trimmed").await.unwrap();
    for _ in 0..20 {
        Sent::valid(org_id, "run.started", new_run().uuid(), json!({})).publish(&stack).await;
    }
    let (shutdown, ledger) = ledger_keeping(&stack, Duration::from_secs(3600)).await;
    size_reaches(&stack, org_id, 21).await;
    // The ledger publishes these itself, in a partition of their own: what was not read is not trimmed.
    size_reaches(&stack, SHARED_ORG, shared_events()).await;
    shutdown.cancel();
    ledger.await.unwrap();
    assert!(messages(&stack).await >= 21, "messages went before their time");

    // It trims when it begins to read.
    let (shutdown, ledger) = ledger_keeping(&stack, Duration::ZERO).await;
    eventually("the stream to be trimmed", async || (messages(&stack).await == 0).then_some(())).await;
    shutdown.cancel();
    ledger.await.unwrap();

    let (shutdown, ledger) = ledger_keeping(&stack, Duration::ZERO).await;
    Sent::valid(org_id, "run.started", new_run().uuid(), json!({})).publish(&stack).await;
    size_reaches(&stack, org_id, 22).await;
    shutdown.cancel();
    ledger.await.unwrap();
    let restarts: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.ingest_cursor WHERE trimmed_seq > stream_seq")
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(restarts, 0, "a cursor went back because its message had been trimmed");
}

#[tokio::test]
async fn a_stream_made_anew_under_a_running_ledger_is_read_from_its_start() {
    let stack = stack().await;
    let org_id = stack.register_org("anew").await.unwrap();
    for _ in 0..5 {
        Sent::valid(org_id, "run.started", new_run().uuid(), json!({})).publish(&stack).await;
    }
    size_reaches(&stack, org_id, 6).await;
    jetstream::new(stack.client().clone()).delete_stream(STREAM).await.unwrap();
    EventStream::ensure(stack.client()).await.unwrap();
    // Fewer than the old stream held: a reader that went on from its old position would see none of them.
    let first = new_run();
    Sent::valid(org_id, "run.started", first.uuid(), json!({})).publish(&stack).await;
    size_reaches(&stack, org_id, 7).await;
    stack.wait_for_run(org_id, first, "running").await.unwrap();
    assert_eq!(size(&stack, org_id).await, 7);
}

#[tokio::test]
async fn a_stream_that_goes_missing_is_made_again_and_read() {
    let stack = stack().await;
    let org_id = stack.register_org("missing").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    jetstream::new(stack.client().clone()).delete_stream(STREAM).await.unwrap();
    eventually("the ledger to make the stream", async || EventStream::find(stack.client()).await.unwrap()).await;
    let run_id = new_run();
    Sent::valid(org_id, "run.started", run_id.uuid(), json!({})).publish(&stack).await;
    stack.wait_for_run(org_id, run_id, "running").await.unwrap();
}

#[tokio::test]
async fn a_stream_that_could_lose_events_is_refused() {
    let stack = idle_stack().await;
    let jetstream = jetstream::new(stack.client().clone());
    let mut config = jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    config.max_age = Duration::from_secs(60);
    config.duplicate_window = Duration::from_secs(60);
    jetstream.update_stream(config).await.unwrap();
    let refused = EventStream::ensure(stack.client()).await;
    assert!(matches!(refused, Err(StreamError::Foreign("max_age"))), "{refused:?}");
}

//! The Rust emitter: it counts, it sends under the same id until the stream has the event, and it says
//! what is wrong.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::jetstream::{self, stream::Config};
use events::{
    Event,
    emitter::{EmitError, Emitter, EmitterOptions},
    id::{OrgId, RunId},
    payload::{RunCompleted, RunStarted},
};
use ledger::stream::EventStream;
use serde_json::json;
use stack::{
    Stack,
    servers::{ServerOptions, Servers},
};
use uuid::Uuid;

use crate::harness::{eventually, idle_stack, new_run, size, size_reaches, stack};

/// The sequence numbers that the ledger holds of a run.
async fn sequences(stack: &Stack, run_id: RunId) -> Vec<String> {
    let query = "SELECT extensions->>'sequence' FROM ledger.event WHERE subject_id = $1 ORDER BY seq";
    sqlx::query_scalar(query).bind(run_id.uuid()).fetch_all(stack.pool()).await.unwrap()
}

fn started(org_id: OrgId) -> Event {
    Event::new(org_id, new_run().subject(), "/emitter", &RunStarted::default()).unwrap()
}

/// An emitter that gives up soon.
fn impatient(stack: &Stack) -> Emitter {
    let options = EmitterOptions { give_up_after: Duration::from_millis(300), ..EmitterOptions::new("/emitter") };
    Emitter::new(stack.client().clone(), options)
}

#[tokio::test]
async fn the_events_of_each_run_are_counted_from_1() {
    let stack = stack().await;
    let org_id = stack.register_org("counted").await.unwrap();
    let emitter = stack.emitter("/emitter");
    let runs = [emitter.run(org_id, new_run()), emitter.run(org_id, new_run())];
    for run in &runs {
        run.emit(&RunStarted::default()).await.unwrap();
        run.emit(&RunCompleted::default()).await.unwrap();
    }
    for run in &runs {
        let run_id = RunId::try_from(run.event(&RunStarted::default()).unwrap().subject_id.uuid()).unwrap();
        let row = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
        assert_eq!(row["flags"], json!([]));
        assert_eq!(sequences(&stack, run_id).await, ["0000000001", "0000000002"]);
    }
}

#[tokio::test]
async fn an_event_that_did_not_arrive_is_flagged_until_it_does() {
    let stack = stack().await;
    let org_id = stack.register_org("lossy").await.unwrap();
    let (run_id, emitter) = (new_run(), stack.emitter("/emitter"));
    emitter.run(org_id, run_id).emit(&RunStarted::default()).await.unwrap();
    emitter.run(org_id, run_id).after(2).emit(&RunCompleted::default()).await.unwrap();
    let row = stack.wait_for_run(org_id, run_id, "completed").await.unwrap();
    assert_eq!(row["flags"], json!(["events_missing"]));
    let context = json!({ "context": {} });
    let late: events::payload::RunContextAdded = serde_json::from_value(context).unwrap();
    let run = emitter.run(org_id, run_id).after(1);
    let mut late = run.event(&late).unwrap();
    // Not after the run's end, which would be flagged too.
    late.occurred_at -= chrono::Duration::minutes(1);
    run.send(late).await.unwrap();
    eventually("the flag to go", async || {
        let row = stack.run(org_id, run_id).await.unwrap().unwrap();
        (row["flags"] == json!([])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_sent_twice_is_acknowledged_as_a_duplicate_and_counts_once() {
    let stack = stack().await;
    let org_id = stack.register_org("twice").await.unwrap();
    let (emitter, event) = (stack.emitter("/emitter"), started(org_id));
    let first = emitter.emit(&event).await.unwrap();
    let second = emitter.emit(&event).await.unwrap();
    assert_eq!((first.is_duplicate, second.is_duplicate), (false, true));
    assert_eq!(first.stream_seq, second.stream_seq);
    emitter.emit(&started(org_id)).await.unwrap();
    size_reaches(&stack, org_id, 3).await;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.event WHERE event_id = $1")
        .bind(event.event_id)
        .fetch_one(stack.pool())
        .await
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn events_are_emitted_through_an_outage_of_nats_under_their_own_ids() {
    let options = ServerOptions { nats_accounts: 1000, ..ServerOptions::default() };
    let mut stack = Stack::on(Arc::new(Servers::start(options).await.unwrap())).await.unwrap();
    stack.start_services().unwrap();
    let org_id = stack.register_org("outage").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    let emit_all = |events: Vec<Event>| {
        let emitter = stack.emitter("/emitter");
        tokio::spawn(async move { emitter.emit_all(futures::stream::iter(events)).await })
    };
    let during: Vec<Event> = (0..300).map(|_| started(org_id)).collect();
    let around: Vec<Event> = (0..3_000).map(|_| started(org_id)).collect();

    stack.servers().nats().stop().await.unwrap();
    let emitting_during = emit_all(during.clone());
    stack.servers().nats().start().await.unwrap();
    assert_eq!(emitting_during.await.unwrap().unwrap(), 300);
    let emitting_around = emit_all(around.clone());
    size_reaches(&stack, org_id, 302).await;
    stack.servers().nats().restart().await.unwrap();
    assert_eq!(emitting_around.await.unwrap().unwrap(), 3_000);

    size_reaches(&stack, org_id, 1 + 3_300).await;
    let kept: Vec<Uuid> = sqlx::query_scalar("SELECT event_id FROM ledger.event WHERE event_type = 'run.started'")
        .fetch_all(stack.pool())
        .await
        .unwrap();
    assert_eq!(kept.len(), 3_300, "an event counted twice");
    let sent: BTreeSet<Uuid> = during.iter().chain(&around).map(|event| event.event_id.uuid()).collect();
    assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), sent);
}

/// Changes the stream's settings.
async fn reconfigure(stack: &Stack, change: impl FnOnce(&mut Config)) -> u64 {
    let jetstream = jetstream::new(stack.client().clone());
    let stream = jetstream.get_stream("RUNLEDGER").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    change(&mut config);
    jetstream.update_stream(config).await.unwrap().state.messages
}

#[tokio::test]
async fn a_full_stream_refuses_new_events_with_a_word_on_what_to_do_and_drops_none() {
    let stack = idle_stack().await;
    let org_id = stack.register_org("full").await.unwrap();
    reconfigure(&stack, |config| config.max_messages = 1).await;
    let event = started(org_id);
    let error = impatient(&stack).emit(&event).await.unwrap_err();
    assert!(matches!(error, EmitError::Unavailable { .. }), "{error:?}");
    for expected in [&event.event_id.to_string(), "run.started", "give the stream more room"] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(reconfigure(&stack, |config| config.max_messages = -1).await, 1, "the first event is gone");
    assert_eq!(impatient(&stack).emit(&event).await.unwrap().stream_seq, 2);
}

#[tokio::test]
async fn without_a_stream_the_error_says_who_makes_it_and_an_emitter_that_waits_goes_on() {
    let stack = idle_stack().await;
    let org_id = OrgId::generate();
    jetstream::new(stack.client().clone()).delete_stream("RUNLEDGER").await.unwrap();
    let error = impatient(&stack).emit(&started(org_id)).await.unwrap_err();
    assert!(matches!(error, EmitError::NoStream { .. }), "{error:?}");
    assert!(error.to_string().contains("runledger migrate"), "{error}");

    let patient = stack.emitter("/emitter");
    let waiting = tokio::spawn(async move { patient.emit(&started(org_id)).await });
    EventStream::ensure(stack.client()).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().stream_seq, 1);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_at_once_and_leaves_no_gap_in_the_ledger() {
    let stack = stack().await;
    let org_id = stack.register_org("large").await.unwrap();
    let mut event = started(org_id);
    event.data = json!({ "context": { "scan": "x".repeat(1024 * 1024) } }).to_string().into();
    let error = stack.emitter("/emitter").emit(&event).await.unwrap_err();
    assert!(matches!(error, EmitError::TooLarge { .. }), "{error:?}");
    assert!(error.to_string().contains("a reference in place of the content"), "{error}");
    stack.emitter("/emitter").emit(&started(org_id)).await.unwrap();
    size_reaches(&stack, org_id, 2).await;
    assert_eq!(size(&stack, org_id).await, 2);
}

#[tokio::test]
async fn an_address_without_a_server_is_waited_for_and_no_address_is_an_error() {
    let refused = Emitter::connect("no address at all", EmitterOptions::new("/emitter")).await.unwrap_err();
    assert!(refused.to_string().contains("nats://127.0.0.1:4222"), "{refused}");
    let options = EmitterOptions {
        ack_timeout: Duration::from_millis(100),
        give_up_after: Duration::from_millis(300),
        ..EmitterOptions::new("/emitter")
    };
    let emitter = Emitter::connect("nats://127.0.0.1:1", options).await.unwrap();
    let error = emitter.emit(&started(OrgId::generate())).await.unwrap_err();
    assert!(matches!(error, EmitError::NoAck { .. }), "{error:?}");
    assert!(error.to_string().contains("harmless"), "{error}");
}

//! The transactional outbox: what a service's own transaction commits is published, once, and nothing
//! else is.

use std::time::Duration;

use events::{
    Event,
    emitter::outbox::{self, Relay},
    id::{OrgId, RunId},
    payload::{RunCompleted, RunStarted},
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use stack::Stack;
use uuid::Uuid;

use crate::harness::{eventually, new_run, size, size_reaches, stack};

/// A service with a PostgreSQL database of its own.
struct Service {
    stack: Stack,
    org_id: OrgId,
    pool: PgPool,
}

impl Service {
    async fn start() -> Self {
        let stack = stack().await;
        let org_id = stack.register_org("outbox").await.unwrap();
        size_reaches(&stack, org_id, 1).await;
        let database = format!("service_{}", Uuid::new_v4().simple());
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
        sqlx::raw_sql(create).execute(stack.pool()).await.unwrap();
        let options: PgConnectOptions = stack.database_url().parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(6).connect_with(options.database(&database)).await.unwrap();
        sqlx::raw_sql("CREATE TABLE claim (run_id uuid PRIMARY KEY)").execute(&pool).await.unwrap();
        for _twice in 0..2 {
            sqlx::raw_sql(outbox::TABLES).execute(&pool).await.unwrap();
        }
        Self { stack, org_id, pool }
    }

    fn relay(&self) -> Relay {
        Relay::new(self.stack.emitter("/claims"), self.pool.clone(), Duration::from_millis(20))
    }

    /// The service's work: a row of its own and two events, in one transaction that is not ended yet.
    async fn work(&self, run_id: RunId) -> sqlx::Transaction<'static, sqlx::Postgres> {
        let mut tx = self.pool.begin().await.unwrap();
        sqlx::query("INSERT INTO claim VALUES ($1)").bind(run_id).execute(&mut *tx).await.unwrap();
        let event = |event: Result<Event, _>| event.unwrap();
        let started = event(Event::new(self.org_id, run_id.subject(), "/claims", &RunStarted::default()));
        let completed = event(Event::new(self.org_id, run_id.subject(), "/claims", &RunCompleted::default()));
        outbox::add(&mut tx, &started).await.unwrap();
        outbox::add(&mut tx, &completed).await.unwrap();
        tx
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    async fn waiting(&self) -> i64 {
        self.count("SELECT count(*) FROM runledger_outbox WHERE refused IS NULL").await
    }

    /// How many messages the stream has ever taken.
    async fn streamed(&self) -> u64 {
        let jetstream = async_nats::jetstream::new(self.stack.client().clone());
        jetstream.get_stream("RUNLEDGER").await.unwrap().cached_info().state.last_sequence
    }
}

#[tokio::test]
async fn what_is_rolled_back_is_not_published_and_what_is_committed_is_once_and_in_order() {
    let service = Service::start().await;
    let before = service.streamed().await;
    service.work(new_run()).await.rollback().await.unwrap();
    assert_eq!(service.relay().publish_batch().await.unwrap(), 0);
    assert_eq!((service.streamed().await, service.count("SELECT count(*) FROM claim").await), (before, 0));

    let mut runs = Vec::new();
    // More than a relay takes at a time.
    for _ in 0..150 {
        let run_id = new_run();
        service.work(run_id).await.commit().await.unwrap();
        runs.push(run_id.uuid());
    }
    let mut published = 0;
    while service.waiting().await > 0 {
        published += service.relay().publish_batch().await.unwrap();
    }
    assert_eq!((published, service.streamed().await), (300, before + 300));
    size_reaches(&service.stack, service.org_id, 301).await;
    let query = "SELECT subject_id, extensions->>'sequence', event_type FROM ledger.event WHERE seq > 1 AND source <> '/runledger' ORDER BY seq";
    let kept: Vec<(Uuid, String, String)> = sqlx::query_as(query).fetch_all(service.stack.pool()).await.unwrap();
    let expected = runs.iter().flat_map(|run_id| {
        [(1, "run.started"), (2, "run.completed")]
            .map(|(sequence, of)| (*run_id, format!("{sequence:010}"), of.to_owned()))
    });
    for (place, (kept, expected)) in kept.iter().zip(expected).enumerate() {
        assert_eq!(*kept, expected, "event {place} of 300");
    }
}

#[tokio::test]
async fn a_relay_killed_between_acknowledgement_and_deletion_makes_no_event_count_twice() {
    let service = Service::start().await;
    // Deleting from the outbox waits for a lock that the test holds.
    sqlx::raw_sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
         CREATE TRIGGER wait BEFORE DELETE ON runledger_outbox EXECUTE FUNCTION wait();",
    )
    .execute(&service.pool)
    .await
    .unwrap();
    let mut holder = service.pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7)").execute(&mut *holder).await.unwrap();
    let run_id = new_run();
    service.work(run_id).await.commit().await.unwrap();

    let relay = service.relay();
    let killed = tokio::spawn(async move { relay.publish_batch().await });
    let backend: i32 = eventually("the relay to have its acknowledgements", async || {
        let query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        sqlx::query_scalar(query).fetch_optional(&service.pool).await.unwrap()
    })
    .await;
    size_reaches(&service.stack, service.org_id, 3).await;
    killed.abort();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(backend).execute(&service.pool).await.unwrap();
    holder.rollback().await.unwrap();
    eventually("the dead relay's rows to be free", async || {
        let query = "SELECT count(*) FROM (SELECT FROM runledger_outbox FOR UPDATE SKIP LOCKED) AS free";
        (service.count(query).await == 2).then_some(())
    })
    .await;

    assert_eq!(service.relay().publish_batch().await.unwrap(), 2);
    assert_eq!(service.waiting().await, 0);
    // One more event, behind which nothing is on its way any more.
    service.work(new_run()).await.commit().await.unwrap();
    service.relay().publish_batch().await.unwrap();
    size_reaches(&service.stack, service.org_id, 5).await;
    assert_eq!(size(&service.stack, service.org_id).await, 5, "an event counted twice");
    let run = service.stack.wait_for_run(service.org_id, run_id, "completed").await.unwrap();
    assert_eq!(run["flags"], serde_json::json!([]));
}

#[tokio::test]
async fn two_relays_at_once_publish_each_event_once() {
    let service = Service::start().await;
    let before = service.streamed().await;
    for _ in 0..500 {
        service.work(new_run()).await.commit().await.unwrap();
    }
    let relays: Vec<_> = [service.relay(), service.relay()]
        .into_iter()
        .map(|relay| tokio::spawn(async move { relay.run().await }))
        .collect();
    eventually("the outbox to be empty", async || (service.waiting().await == 0).then_some(())).await;
    size_reaches(&service.stack, service.org_id, 1_001).await;
    assert_eq!(service.streamed().await, before + 1_000);
    relays.iter().for_each(tokio::task::JoinHandle::abort);
    let twice: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
            SELECT subject_id FROM ledger.event WHERE seq > 1 AND source <> '/runledger' GROUP BY subject_id HAVING count(*) <> 2
         ) AS odd",
    )
    .fetch_one(service.stack.pool())
    .await
    .unwrap();
    assert_eq!((size(&service.stack, service.org_id).await, twice), (1_001, 0));
}

#[tokio::test]
async fn an_event_that_the_stream_will_never_take_stays_with_the_reason_and_holds_up_no_other() {
    let service = Service::start().await;
    let mut large = Event::new(service.org_id, new_run().subject(), "/claims", &RunStarted::default()).unwrap();
    large.data = serde_json::json!({ "context": { "scan": "x".repeat(1024 * 1024) } }).to_string().into();
    let mut tx = service.pool.begin().await.unwrap();
    outbox::add(&mut tx, &large).await.unwrap();
    tx.commit().await.unwrap();
    service.work(new_run()).await.commit().await.unwrap();
    assert_eq!(service.relay().publish_batch().await.unwrap(), 3);
    size_reaches(&service.stack, service.org_id, 3).await;
    let reason: String =
        sqlx::query_scalar("SELECT refused FROM runledger_outbox").fetch_one(&service.pool).await.unwrap();
    assert!(reason.contains("too large"), "{reason}");
    assert_eq!(service.relay().publish_batch().await.unwrap(), 0, "it was tried again");
}

//! What a ledger hands over to a projector in the same process is what stands in the table.

use std::sync::Arc;

use events::id::Seq;
use ledger::{
    connection::{Database, Outage, Role},
    ingest::Ingest,
    nats::Nats,
    read::{self, Limit},
    recent::{INCARNATION, Incarnation, Recent},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{Sent, eventually, idle_stack, new_run, size_reaches};

const ROOMY: Limit = Limit { events_max: 100, bytes_max: 1 << 20 };

#[tokio::test]
async fn events_are_handed_over_as_they_stand_in_the_ledger() {
    let stack = idle_stack().await;
    let (recent, shutdown) = (Arc::new(Recent::default()), CancellationToken::new());
    let ingest = Ingest {
        database: Database::new(stack.database_url(), Role::Ledger).unwrap(),
        nats: Nats::connect(stack.nats_url(), Arc::new(Outage::of("NATS"))).await.unwrap(),
        postgres: Arc::new(Outage::of("PostgreSQL")),
        keep: None,
        recent: Some(recent.clone()),
    };
    let ledger = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { ingest.run(shutdown).await.unwrap() }
    });
    let org_id = stack.register_org("handed over").await.unwrap();
    let run = new_run().uuid();
    let plain = Sent::valid(org_id, "run.started", run, json!({ "context": { "payer": "Meridian" } }));
    plain.publish(&stack).await;
    Sent::valid(org_id, "run.context_added", run, json!({}))
        .with("ce-time", "2026-03-01T12:00:00.123456789+02:00")
        .with("ce-correlationid", "ELG-1")
        .with("ce-causationid", "call 7")
        .with("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with("ce-region", "nördlich")
        .carrying("{ \"context\" :\t{\"amount\": 1.10, \"name\": \"\\u00e9\"} }")
        .publish(&stack)
        .await;
    // Neither of these is appended.
    plain.publish(&stack).await;
    Sent::valid(org_id, "run.started", run, json!({ "context": 7 })).publish(&stack).await;
    Sent::valid(org_id, "run.completed", run, json!({})).publish(&stack).await;
    size_reaches(&stack, org_id, 4).await;

    let mut conn = stack.pool().acquire().await.unwrap();
    let incarnation: Incarnation = sqlx::query_scalar(INCARNATION).fetch_one(&mut *conn).await.unwrap();
    let handed_over = eventually("what is handed over", async || {
        let page = recent.events_after(&incarnation, org_id, Seq::ZERO, &[], ROOMY)?;
        (page.through == Seq::new(4)).then_some(page)
    });
    let handed_over = handed_over.await;
    let standing = read::events_after(&mut conn, org_id, Seq::ZERO, &[], ROOMY).await.unwrap();
    assert_eq!(handed_over.events, standing.events);
    assert_eq!(handed_over.through, standing.through);
    assert_eq!(standing.events[2].event.correlation_id.as_deref(), Some("ELG-1"));
    shutdown.cancel();
    ledger.await.unwrap();
}

//! What everybody writes first: consume a message, INSERT the event, upsert its run and its step, commit, acknowledge,
//! next. One worker, plain statements, the same columns and indexes as ours; no integrity tree, and an event that comes
//! late spoils the row.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use events::{
    Event,
    wire::{self, Message},
};
use futures::StreamExt;
use ledger::stream::{EventStream, STREAM};
use serde_json::Value;
use sqlx::{Acquire, Executor, PgConnection, query};

use crate::{
    arena::{Account, Backlog},
    database::CaseDatabase,
};

/// Works off so many messages of the backlog; gives events a second.
pub async fn rate(database: &CaseDatabase, backlog: &Backlog, events: u64) -> Result<f64> {
    let mut conn = database.connect().await?;
    // As everybody has it who sets nothing.
    conn.execute("SET plan_cache_mode = auto").await?;
    conn.execute(
        "CREATE TABLE naive_event (LIKE ledger.event INCLUDING ALL);
         CREATE TABLE naive_run (LIKE user_workflow_run INCLUDING ALL);
         CREATE TABLE naive_step (LIKE user_workflow_run_step INCLUDING ALL)",
    )
    .await?;
    let mut messages = consumer(&backlog.account).await?.messages().await?;
    let began = Instant::now();
    for seq in 1..=events {
        let message = messages.next().await.context("the stream ended")??;
        let event = event(&message)?;
        take(&mut conn, &event, seq as i64).await?;
        message.ack().await.map_err(|error| anyhow::anyhow!("a message cannot be acknowledged: {error}"))?;
    }
    let rate = events as f64 / began.elapsed().as_secs_f64();
    let inserted: i64 = sqlx::query_scalar("SELECT count(*) FROM naive_event").fetch_one(&mut conn).await?;
    ensure!(inserted == events as i64, "the naive loop has {inserted} of {events} events");
    Ok(rate)
}

async fn consumer(account: &Account) -> Result<async_nats::jetstream::consumer::Consumer<pull::Config>> {
    let stream = EventStream::ensure(&account.client).await?;
    let config = pull::Config { ack_policy: AckPolicy::Explicit, ..pull::Config::default() };
    Ok(stream.jetstream().create_consumer_on_stream(config, STREAM).await?)
}

fn event(message: &async_nats::Message) -> Result<Event> {
    let headers: Vec<(String, String)> = message
        .headers
        .iter()
        .flat_map(|headers| headers.iter())
        .flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.to_string())))
        .collect();
    // The stream has put the partition's number in.
    let mut tokens: Vec<&str> = message.subject.split('.').collect();
    tokens.remove(2);
    let subject = tokens.join(".");
    let message = Message {
        subject: subject.as_bytes(),
        headers: headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect(),
        payload: message.payload.clone(),
    };
    wire::admit(&message, events::time::now()).map_err(|refusal| anyhow::anyhow!("{}", refusal.reason))
}

async fn take(conn: &mut PgConnection, event: &Event, seq: i64) -> Result<()> {
    let data: Value = serde_json::from_str(&event.data)?;
    let mut tx = conn.begin().await?;
    query(include_str!("naive/event.sql"))
        .bind(event.org_id)
        .bind(event.event_id)
        .bind(event.subject_id)
        .bind(seq)
        .bind(event.occurred_at)
        .bind(&event.event_type)
        .bind(&event.source)
        .bind(&event.correlation_id)
        .bind(&event.extensions)
        .bind(&*event.data)
        .execute(&mut *tx)
        .await?;
    if let Some((family, verb)) = event.event_type.split_once('.').filter(|(family, _)| *family != "org") {
        query(include_str!("naive/run.sql"))
            .bind(event.org_id)
            .bind(event.subject_id)
            .bind(if family == "run" { verb } else { "" })
            .bind(event.occurred_at)
            .bind(&data)
            .execute(&mut *tx)
            .await?;
        if family == "step" {
            query(include_str!("naive/step.sql"))
                .bind(event.org_id)
                .bind(event.subject_id)
                .bind(verb)
                .bind(event.occurred_at)
                .bind(&data)
                .execute(&mut *tx)
                .await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

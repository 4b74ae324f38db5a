//! Orgs whose kinds of screens are learnt share steps, and none of them holds the others up.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use events::id::OrgId;
use futures::future::BoxFuture;
use projector::embedding::{Embedder, EmbedderError, Hashing, TextEmbedding};
use stack::Stack;
use uuid::Uuid;

use super::{dry_run, org, project, project_with, projections, see};
use crate::harness::{idle_stack, planted};

async fn label(stack: &Stack, org_id: OrgId, label: &str, times: usize) {
    let labelled = || planted(org_id, "micro_state.labelled", Uuid::from_u128(1), &format!(r#"{{"label":"{label}"}}"#));
    let events: Vec<_> = (0..times).map(|_| labelled()).collect();
    let mut tx = stack.pool().begin().await.unwrap();
    for events in events.chunks(500) {
        let events: Vec<_> = events.iter().collect();
        ledger::append::append(&mut tx, &events, ledger::now(), ledger::append::Ids::LookedUp).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// When a step has last moved the org's checkpoint.
async fn moved_at(stack: &Stack, org_id: OrgId) -> DateTime<Utc> {
    let select = "SELECT updated_at FROM ledger.checkpoint WHERE projection = 'macro_state' AND org_id = $1";
    sqlx::query_scalar(select).bind(org_id.uuid()).fetch_one(stack.pool()).await.unwrap()
}

#[tokio::test]
async fn an_org_with_a_long_past_is_folded_in_several_steps_and_the_others_need_not_wait() {
    let stack = idle_stack().await;
    let (long, short) = (org(&stack).await, org(&stack).await);
    see(&stack, long, 1, "Search for a member").await;
    // More than a step folds of the past, and not a whole number of steps.
    label(&stack, long, "search", 4_700).await;
    project(&stack, long).await;
    project(&stack, short).await;

    label(&stack, long, "find", 1).await;
    label(&stack, short, "search", 1).await;
    project_with(&stack, &projections(), &[long, short], Arc::new(Hashing)).await;
    assert!(moved_at(&stack, short).await < moved_at(&stack, long).await);
    let labels: Vec<String> =
        sqlx::query_scalar("SELECT label FROM macro_state ORDER BY label").fetch_all(stack.pool()).await.unwrap();
    assert_eq!(labels, ["find", "search"]);
    dry_run(&stack, projections()).await.unwrap();
}

/// Notes how many texts it is asked for at a time.
#[derive(Default)]
struct Counting(Mutex<Vec<usize>>);

impl Embedder for Counting {
    fn model(&self) -> &str {
        Hashing.model()
    }

    fn texts_max(&self) -> usize {
        Hashing.texts_max()
    }

    fn calls_max(&self) -> usize {
        1
    }

    fn embed<'a>(&'a self, texts: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>> {
        self.0.lock().unwrap().push(texts.len());
        Hashing.embed(texts)
    }
}

#[tokio::test]
async fn what_all_orgs_of_a_step_lack_is_embedded_together() {
    let stack = idle_stack().await;
    let orgs = [org(&stack).await, org(&stack).await, org(&stack).await];
    for (number, org_id) in orgs.into_iter().enumerate() {
        see(&stack, org_id, 1, &format!("{} kinds of search", "many ".repeat(number))).await;
    }
    let embedder = Arc::new(Counting::default());
    let kinds: Vec<_> = projections().into_iter().filter(|projection| projection.name == "macro_state").collect();
    project_with(&stack, &kinds, &orgs, embedder.clone()).await;
    assert_eq!(*embedder.0.lock().unwrap(), [3]);
}

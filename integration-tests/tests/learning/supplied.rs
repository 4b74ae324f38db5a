//! Screens whose services bring the embeddings: one that comes without has none.

use std::sync::Arc;

use projector::{
    embedding::Supplied,
    rebuild::{Order, Progress, Rebuild},
};
use serde_json::json;
use uuid::Uuid;

use super::{database, org, project_with, projections, rows};
use crate::harness::{append, idle_stack, planted};

#[tokio::test]
async fn a_screen_that_is_seen_without_an_embedding_loses_its_kind_as_it_does_by_a_rebuild() {
    let stack = idle_stack().await;
    let org_id = org(&stack).await;
    let see = async |title: &str, embedding: Option<Vec<f32>>| {
        let data = json!({ "url": "https://portal.example/", "title": title, "ui": {}, "text_embedding": embedding });
        append(&stack, &planted(org_id, "micro_state.observed", Uuid::from_u128(1), &data.to_string())).await;
        project_with(&stack, &projections(), &[org_id], Arc::new(Supplied)).await;
        (rows(&stack, "macro_state").await.len(), rows(&stack, "macro_state_member").await.len())
    };
    assert_eq!(see("Search", Some(vec![0.5; 768])).await, (1, 1));
    assert_eq!(see("Search for a member", None).await, (0, 0));
    let dry_run = Order { dry_run: true, ..Order::default() };
    let rebuild = Rebuild::of(projections(), database(&stack)).embeds_with(Arc::new(Supplied));
    rebuild.run(&dry_run, &Progress::default(), |difference| panic!("{difference:?}")).await.unwrap();
}

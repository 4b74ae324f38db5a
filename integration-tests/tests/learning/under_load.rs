//! All that is learnt from screens, rebuilt while screens are seen.

use std::collections::HashMap;

use super::*;
use crate::harness::runledger;

/// Of each screen: of which text, and the embedding.
async fn vectors(stack: &Stack) -> HashMap<(Uuid, Uuid), (Vec<u8>, String)> {
    let rows: Vec<(Uuid, Uuid, Vec<u8>, String)> =
        sqlx::query_as("SELECT org_id, micro_state_id, content_hash, text_embedding::text FROM micro_state")
            .fetch_all(stack.pool())
            .await
            .unwrap();
    rows.into_iter().map(|(org, id, hash, vector)| ((org, id), (hash, vector))).collect()
}

#[tokio::test]
async fn what_is_learnt_from_screens_is_rebuilt_while_screens_are_seen() {
    let stack = stack().await;
    let simulate = |runs: &'static str, seed: &'static str| {
        ["simulate", "--portal", "--runs", runs, "--orgs", "2", "--seed", seed, "--start", "2026-01-05T08:00:00Z"]
    };
    assert!(run(&stack, simulate("20", "7")).await.success);
    all_is_done(&stack).await;
    let before = vectors(&stack).await;

    let mut seeing = runledger(&stack, simulate("80", "8")).spawn().unwrap();
    let mut rebuilt_meanwhile = 0;
    while seeing.try_wait().unwrap().is_none() {
        let rebuilt = objects(&stack, &["rebuild", "micro_state", "macro_state", "rcm_transition", "--json"]).await;
        let projections = rebuilt.last().unwrap()["rebuilt"]["projections"].as_array().unwrap();
        assert!(projections.iter().all(|it| it["paused_ms"].is_number()), "{projections:?}");
        assert!(rebuilt.iter().all(|line| line["difference"].is_null()), "{rebuilt:?}");
        rebuilt_meanwhile += 1;
    }
    assert!(rebuilt_meanwhile > 0);
    all_is_done(&stack).await;
    dry_run(&stack, projections()).await.unwrap();

    let after = vectors(&stack).await;
    assert!(after.len() > before.len());
    for (screen, (hash, vector)) in before {
        let (hash_after, vector_after) = &after[&screen];
        assert!(*hash_after != hash || *vector_after == vector, "{screen:?}");
    }
}

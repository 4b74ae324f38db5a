//! What is kept of models that nobody uses any more can be deleted.

use super::{
    embedding::see,
    objects,
    once::{count, folded},
};
use crate::harness::{run, size_reaches, stack};

#[tokio::test]
async fn embeddings_of_models_that_no_table_is_made_with_can_be_deleted() {
    let stack = stack().await;
    let org_id = stack.register_org("one").await.unwrap();
    size_reaches(&stack, org_id, 1).await;
    see(&stack, org_id, 1, "Sign in").await;
    folded(&stack, 1).await;
    sqlx::query(
        "INSERT INTO ledger.embedding_cache (model, content_hash, refusal)
         SELECT 'gone', sha256(n::text::bytea), 'too long' FROM generate_series(1, 3) n",
    )
    .execute(stack.pool())
    .await
    .unwrap();
    let kept = async || count(&stack, "SELECT count(*) FROM ledger.embedding_cache").await;

    let dry_run = run(&stack, ["micro-states", "prune-embeddings", "--dry-run"]).await;
    assert!(dry_run.success && dry_run.stdout.contains("would be"), "{}{}", dry_run.stdout, dry_run.stderr);
    assert!(dry_run.stdout.contains("macro_state, micro_state"), "{}", dry_run.stdout);
    assert_eq!(kept().await, 4);
    for (model, why) in
        [("hashing-1", "tables of macro_state, micro_state are made with"), ("unknown", "no embeddings of")]
    {
        let refused = run(&stack, ["micro-states", "prune-embeddings", "--model", model]).await;
        assert!(!refused.success && refused.stderr.contains(why), "{}{}", refused.stdout, refused.stderr);
    }
    let pruned = run(&stack, ["micro-states", "prune-embeddings", "--json"]).await;
    let pruned = objects(&pruned);
    assert_eq!((&pruned[0]["model"], &pruned[0]["deleted"]), (&"gone".into(), &3.into()));
    assert_eq!((&pruned[1]["model"], &pruned[1]["deleted"]), (&"hashing-1".into(), &0.into()));
    assert_eq!(kept().await, 1);
}

//! The contract's definition of leaf hash and root, with PostgreSQL's own hash function.

use events::id::OrgId;
use stack::Stack;

/// The leaf hashes of an org's events as its rows are now, in the order of their seq.
pub async fn leaf_hashes(stack: &Stack, org_id: OrgId) -> Vec<Vec<u8>> {
    sqlx::query_scalar(include_str!("leaf_hashes.sql")).bind(org_id.uuid()).fetch_all(stack.pool()).await.unwrap()
}

/// The root over these leaf hashes: neighbours are joined, level by level, and one without a neighbour
/// goes up as it is, which is what RFC 6962 defines top down.
pub async fn root(stack: &Stack, mut level: Vec<Vec<u8>>) -> Vec<u8> {
    assert!(!level.is_empty());
    while level.len() > 1 {
        let mut above = Vec::new();
        for pair in level.chunks(2) {
            above.push(match pair {
                [left, right] => join(stack, left, right).await,
                alone => alone[0].clone(),
            });
        }
        level = above;
    }
    level.remove(0)
}

async fn join(stack: &Stack, left: &[u8], right: &[u8]) -> Vec<u8> {
    sqlx::query_scalar(r"SELECT sha256('\x01'::bytea || $1 || $2)")
        .bind(left)
        .bind(right)
        .fetch_one(stack.pool())
        .await
        .unwrap()
}

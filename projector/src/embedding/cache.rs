//! The cache: embeddings by model and content hash, for all orgs. What stands in it is never changed.
//!
//! A text that the embedder refuses stands in it too, with the reason, so that it holds nobody up and its rows are the same
//! every time. Such refusals are forgotten, and the texts asked for again, by a rebuild of all tables that hold embeddings
//! ([`forget_refusals`]): rows that knew of the refusal and rows that do not must not stand side by side.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{PgConnection, query, query_scalar};

use super::{ContentHash, EmbedderError, Lack, Rendition, TextEmbedding};
use crate::write::column;

/// What is known of these renditions, or of which of them nothing is.
pub(super) async fn look_up(
    conn: &mut PgConnection,
    model: &str,
    renditions: &[&Rendition],
) -> Result<HashMap<ContentHash, Option<TextEmbedding>>, Lack> {
    let mut wanted: BTreeMap<_, _> = renditions.iter().map(|rendition| (rendition.hash, *rendition)).collect();
    let hashes: Vec<_> = wanted.keys().map(|hash| hash.as_bytes().to_vec()).collect();
    let known = query!(
        r#"SELECT content_hash, embedding::real[] AS embedding FROM ledger.embedding_cache
           WHERE model = $1 AND content_hash = ANY($2)"#,
        model,
        &hashes
    );
    let mut of = HashMap::new();
    for row in known.fetch_all(conn).await.map_err(Lack::Database)? {
        let hash = row.content_hash.try_into().map(ContentHash);
        if let Ok(hash) = hash {
            wanted.remove(&hash);
            of.insert(hash, row.embedding.and_then(|embedding| embedding.try_into().ok()));
        }
    }
    if wanted.is_empty() { Ok(of) } else { Err(Lack::Renditions(wanted.into_values().cloned().collect())) }
}

/// Those of the renditions of which nothing is known.
pub(super) async fn unknown<'r>(
    conn: &mut PgConnection,
    model: &str,
    renditions: &[&'r Rendition],
) -> Result<Vec<&'r Rendition>, sqlx::Error> {
    let known = query_scalar!(
        "SELECT content_hash FROM ledger.embedding_cache WHERE model = $1 AND content_hash = ANY($2)",
        model,
        &column(renditions, |rendition| rendition.hash.as_bytes().to_vec())
    );
    let known: HashSet<_> = known.fetch_all(conn).await?.into_iter().collect();
    let is_unknown = |rendition: &&&Rendition| !known.contains(rendition.hash.as_bytes().as_slice());
    Ok(renditions.iter().filter(is_unknown).copied().collect())
}

/// Keeps the embeddings of these renditions.
pub(super) async fn keep(
    conn: &mut PgConnection,
    model: &str,
    batch: &[&Rendition],
    embeddings: &[TextEmbedding],
) -> Result<(), sqlx::Error> {
    let numbers: Vec<f32> = embeddings.iter().flat_map(|embedding| embedding.as_slice()).copied().collect();
    // One array of all numbers, because UNNEST would flatten arrays of arrays.
    query!(
        "INSERT INTO ledger.embedding_cache (model, content_hash, embedding)
         SELECT $1, hash, ($3::real[])[(at - 1) * 768 + 1 : at * 768]::public.vector
         FROM UNNEST($2::bytea[]) WITH ORDINALITY AS new (hash, at)
         ON CONFLICT DO NOTHING",
        model,
        &column(batch, |rendition| rendition.hash.as_bytes().to_vec()),
        &numbers
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps that the embedder has none of this rendition.
pub(super) async fn refuse(
    conn: &mut PgConnection,
    model: &str,
    rendition: &Rendition,
    error: &EmbedderError,
) -> Result<(), sqlx::Error> {
    // Without what the server says of it, in which the text may stand.
    let refusal = match error {
        EmbedderError::Refused { place, status, .. } => format!("the embedder at {place} answered {status}"),
        other => other.to_string(),
    };
    tracing::warn!(model, content = %rendition.hash, refusal, "the embedder refuses a text; rows of it have no embedding");
    query!(
        "INSERT INTO ledger.embedding_cache (model, content_hash, refusal) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        model,
        rendition.hash.as_bytes(),
        refusal
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets which texts the embedder has refused, so that they are asked for again.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget_refusals(conn: &mut PgConnection, model: &str) -> Result<(), sqlx::Error> {
    query!("DELETE FROM ledger.embedding_cache WHERE model = $1 AND refusal IS NOT NULL", model).execute(conn).await?;
    Ok(())
}

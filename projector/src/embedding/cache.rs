//! The cache: embeddings by model and content hash, for all orgs. What stands in it is never changed.

use std::collections::{BTreeMap, HashMap};

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use sqlx::{PgConnection, query};

use super::{ContentHash, Embedder, EmbedderError, Lack, Rendition, TextEmbedding};
use crate::write::column;

/// The embeddings of these renditions, or which of them there are none of.
pub(super) async fn look_up(
    conn: &mut PgConnection,
    model: &str,
    renditions: &[&Rendition],
) -> Result<HashMap<ContentHash, TextEmbedding>, Lack> {
    let mut wanted: BTreeMap<_, _> = renditions.iter().map(|rendition| (rendition.hash, *rendition)).collect();
    let hashes: Vec<_> = wanted.keys().map(|hash| hash.as_bytes().to_vec()).collect();
    let known = query!(
        r#"SELECT content_hash, embedding::real[] AS "embedding!" FROM ledger.embedding_cache
           WHERE model = $1 AND content_hash = ANY($2)"#,
        model,
        &hashes
    );
    let mut of = HashMap::new();
    for row in known.fetch_all(conn).await.map_err(Lack::Database)? {
        let hash = row.content_hash.try_into().map(ContentHash);
        // The table's columns have these dimensions; whatever else stands there is as good as missing.
        if let (Ok(hash), Ok(embedding)) = (hash, row.embedding.try_into()) {
            wanted.remove(&hash);
            of.insert(hash, embedding);
        }
    }
    if wanted.is_empty() { Ok(of) } else { Err(Lack::Renditions(wanted.into_values().cloned().collect())) }
}

/// Has the renditions embedded and keeps the embeddings, a batch at a time, so that what was done before a fault need
/// not be done again. The connection must not be in a transaction.
///
/// # Errors
/// The embedder's, and PostgreSQL's.
pub async fn fill(
    conn: &mut PgConnection,
    embedder: &dyn Embedder,
    renditions: &[Rendition],
) -> Result<(), EmbedderError> {
    let once: BTreeMap<_, _> = renditions.iter().map(|rendition| (rendition.hash, rendition)).collect();
    let once: Vec<_> = once.into_values().collect();
    let calls: Vec<_> = once.chunks(embedder.texts_max().max(1)).map(|batch| call(embedder, batch)).collect();
    let mut batches = stream::iter(calls).buffer_unordered(embedder.calls_max().max(1));
    while let Some((batch, embeddings)) = batches.try_next().await? {
        keep(conn, embedder.model(), batch, &embeddings).await?;
    }
    Ok(())
}

type Embedded<'a> = (&'a [&'a Rendition], Vec<TextEmbedding>);

fn call<'a>(
    embedder: &'a dyn Embedder,
    batch: &'a [&'a Rendition],
) -> BoxFuture<'a, Result<Embedded<'a>, EmbedderError>> {
    async move {
        let texts = column(batch, |rendition| rendition.text.as_str());
        Ok((batch, embedder.embed(&texts).await?))
    }
    .boxed()
}

async fn keep(
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

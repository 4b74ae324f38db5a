//! The cache: embeddings by model and content hash, for all orgs. What stands in it is never changed.
//!
//! A text that the embedder refuses stands in it too, with the reason, so that it holds nobody up and its rows are the same
//! every time. Such refusals are forgotten, and the texts asked for again, by a rebuild of all tables that hold embeddings
//! ([`forget_refusals`]): rows that knew of the refusal and rows that do not must not stand side by side.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, stream::FuturesUnordered};
use sqlx::{PgConnection, query, query_scalar};

use super::{ContentHash, Embedder, EmbedderError, Lack, Rendition, TextEmbedding};
use crate::write::column;

/// What a text is asked for together with others that were refused: if it is refused too, it is not their fault.
const PLAIN_TEXT: &str = "title Search";

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
        // The table's columns have these dimensions; whatever else stands there is as good as missing.
        if let (Ok(hash), Ok(embedding)) = (hash, row.embedding.map(TextEmbedding::try_from).transpose()) {
            wanted.remove(&hash);
            of.insert(hash, embedding);
        }
    }
    if wanted.is_empty() { Ok(of) } else { Err(Lack::Renditions(wanted.into_values().cloned().collect())) }
}

/// Makes sure that something is known of each of these renditions.
pub(super) async fn require(conn: &mut PgConnection, model: &str, renditions: &[&Rendition]) -> Result<(), Lack> {
    let mut wanted: BTreeMap<_, _> = renditions.iter().map(|rendition| (rendition.hash, *rendition)).collect();
    let hashes: Vec<_> = wanted.keys().map(|hash| hash.as_bytes().to_vec()).collect();
    let known = query_scalar!(
        "SELECT content_hash FROM ledger.embedding_cache WHERE model = $1 AND content_hash = ANY($2)",
        model,
        &hashes
    );
    for hash in known.fetch_all(conn).await.map_err(Lack::Database)? {
        hash.try_into().map(ContentHash).ok().and_then(|hash| wanted.remove(&hash));
    }
    if wanted.is_empty() { Ok(()) } else { Err(Lack::Renditions(wanted.into_values().cloned().collect())) }
}

/// Has the renditions embedded and keeps the embeddings, a batch at a time, so that what was done before a fault need
/// not be done again. A batch that is refused is halved until the culprit is alone, and the refusal kept. The
/// connection must not be in a transaction.
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
    let mut waiting: Vec<_> = once.chunks(embedder.texts_max().max(1)).collect();
    let (mut calls, mut fault) = (FuturesUnordered::new(), None);
    loop {
        while fault.is_none()
            && calls.len() < embedder.calls_max().max(1)
            && let Some(batch) = waiting.pop()
        {
            calls.push(call(embedder, batch));
        }
        let Some((batch, answer)) = calls.next().await else { return fault.map_or(Ok(()), Err) };
        match (answer, batch) {
            (Ok(Answer::Embeddings(embeddings)), _) => keep(conn, embedder.model(), batch, &embeddings).await?,
            (Ok(Answer::Refused(error)), [rendition]) => refuse(conn, embedder.model(), rendition, &error).await?,
            (Ok(Answer::Refused(_)), _) => {
                let (left, right) = batch.split_at(batch.len() / 2);
                waiting.extend([right, left]);
            }
            // What was asked for already is still kept.
            (Err(error), _) => _ = fault.get_or_insert(error),
        }
    }
}

/// What an embedder that works says of a batch.
enum Answer {
    Embeddings(Vec<TextEmbedding>),
    Refused(EmbedderError),
}

type Batch<'a> = &'a [&'a Rendition];

async fn call<'a>(embedder: &dyn Embedder, batch: Batch<'a>) -> (Batch<'a>, Result<Answer, EmbedderError>) {
    (batch, ask(embedder, &column(batch, |rendition| rendition.text.as_str())).await)
}

/// # Errors
/// Those that are not the texts' fault. One that may be is tried on a plain text: an embedder that refuses that one too is
/// set up wrongly, or in trouble. A text alone is asked for before it and after it.
async fn ask(embedder: &dyn Embedder, texts: &[&str]) -> Result<Answer, EmbedderError> {
    let refused = match embedder.embed(texts).await {
        Err(error) if error.may_be_of_texts() => error,
        answer => return answer.map(Answer::Embeddings),
    };
    embedder.embed(&[PLAIN_TEXT]).await?;
    if texts.len() > 1 {
        return Ok(Answer::Refused(refused));
    }
    match embedder.embed(texts).await {
        Err(error) if error.may_be_of_texts() => Ok(Answer::Refused(error)),
        answer => answer.map(Answer::Embeddings),
    }
}

async fn keep(
    conn: &mut PgConnection,
    model: &str,
    batch: Batch<'_>,
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

async fn refuse(
    conn: &mut PgConnection,
    model: &str,
    rendition: &Rendition,
    error: &EmbedderError,
) -> Result<(), sqlx::Error> {
    tracing::warn!(model, content = %rendition.hash, %error, "the embedder refuses a text; rows of it have no embedding");
    query!(
        "INSERT INTO ledger.embedding_cache (model, content_hash, refusal) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        model,
        rendition.hash.as_bytes(),
        error.to_string()
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

//! Filling the cache: asks the embedder for what is not known, and for nothing twice.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use sqlx::PgConnection;

use super::{Embedder, EmbedderError, Rendition, TextEmbedding, cache, claim};
use crate::write::column;

/// What is asked for where texts were not embedded: if it is not either, it is not their fault.
const PLAIN_TEXT: &str = "title Search";
/// How often to look whether somebody else has a text embedded …
const WAIT: Duration = Duration::from_millis(20);
/// … and for how long. Then it is asked for twice after all.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Has the renditions embedded that are not in the cache, and keeps the embeddings, a batch at a time, so that what was done
/// before a fault need not be done again. Waits for texts that somebody else has in hand. A batch that is refused is halved
/// until the culprit is alone, and the refusal kept. The connection must not be in a transaction.
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
    for round in once.chunks(texts_a_round(embedder)) {
        let (mut missing, since) = (round.to_vec(), Instant::now());
        while !missing.is_empty() && since.elapsed() < WAIT_MAX {
            let mine = claim::take(conn, embedder.model(), &missing).await?;
            let ended = embed_unknown(conn, embedder, &mine).await;
            claim::release(conn, embedder.model(), &mine).await?;
            ended?;
            missing = cache::unknown(conn, embedder.model(), &missing).await?;
            if !missing.is_empty() {
                tokio::time::sleep(WAIT).await;
            }
        }
        embed(conn, embedder, &missing).await?;
    }
    Ok(())
}

/// So many texts the embedder takes at once, in all its calls.
pub fn texts_a_round(embedder: &dyn Embedder) -> usize {
    embedder.texts_max().max(1) * embedder.calls_max().max(1)
}

/// Nobody else has them in hand, but somebody may have had.
async fn embed_unknown(
    conn: &mut PgConnection,
    embedder: &dyn Embedder,
    renditions: &[&Rendition],
) -> Result<(), EmbedderError> {
    let unknown = cache::unknown(conn, embedder.model(), renditions).await?;
    embed(conn, embedder, &unknown).await
}

async fn embed(
    conn: &mut PgConnection,
    embedder: &dyn Embedder,
    renditions: &[&Rendition],
) -> Result<(), EmbedderError> {
    let mut waiting: Vec<_> = renditions.chunks(embedder.texts_max().max(1)).collect();
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
            (Ok(Answer::Embeddings(embeddings)), _) => cache::keep(conn, embedder.model(), batch, &embeddings).await?,
            (Ok(Answer::Refused(error)), [rendition]) => {
                cache::refuse(conn, embedder.model(), rendition, &error).await?
            }
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
/// set up wrongly, or in trouble. A text alone is asked for twice, and the plain one after each time.
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
        Err(error) if error.may_be_of_texts() => {
            embedder.embed(&[PLAIN_TEXT]).await?;
            Ok(Answer::Refused(error))
        }
        answer => answer.map(Answer::Embeddings),
    }
}

//! Embeddings: what turns a text into numbers of which like texts have like ones.
//!
//! Which [`Embedder`] does it is configured. Whatever it is, a text is embedded once: the answer stands in
//! `ledger.embedding_cache` by model and content hash, so a replay gives the same rows and costs little. Invariant: nobody
//! waits for an embedder while a step's transaction is open. A step whose rows need an embedding that is not in the cache
//! ends without having done anything, and says which texts it needs; whoever made it has them embedded
//! ([`fill`]) and makes it again. A text that the embedder refuses is known too: its rows have no embedding. Called by `advance`, `service` and `rebuild`, and by searches for the text that they ask for.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
};

use events::{
    catalogue::Payload,
    payload::embedding::{Embedding, TEXT_DIMENSIONS},
};
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, query_scalar};

use crate::projection::{Content, Embedded, FoldEvent, Projection};

mod alike;
#[cfg(feature = "bert")]
mod bert;
mod cache;
mod claim;
mod fill;
mod hashing;
mod http;
mod models;
mod supplied;

pub use alike::AlikeFrom;
#[cfg(feature = "bert")]
pub use bert::Bert;
pub use cache::forget_refusals;
pub use fill::{fill, texts_a_round};
pub use hashing::Hashing;
pub use http::{Http, HttpOptions};
pub use models::{Model, forget_model, models};
pub use supplied::Supplied;

/// An embedding of a text.
pub type TextEmbedding = Embedding<TEXT_DIMENSIONS>;

/// Makes embeddings of texts.
pub trait Embedder: Send + Sync {
    /// Its name. Whatever has the same name gives the same embedding of a text.
    fn model(&self) -> &str;

    /// Whether it takes what events bring and makes none itself.
    fn takes_supplied(&self) -> bool {
        false
    }

    /// From which cosine similarity on screens are of one kind; what is right depends on the model.
    fn alike_from(&self) -> f32 {
        0.8
    }

    /// So many texts it takes at a time …
    fn texts_max(&self) -> usize;

    /// … and so often at the same time.
    fn calls_max(&self) -> usize;

    /// The embeddings of these texts, in their order.
    fn embed<'a>(&'a self, texts: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>>;
}

/// Why there is no embedding.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum EmbedderError {
    #[error("the embedder at {place} did not answer: {reason}")]
    Unreachable { place: String, reason: String },
    #[error("the embedder at {place} answered {status}: {body}")]
    Refused { place: String, status: u16, body: String },
    #[error("the embedder at {place} gave an answer that is none: {reason}")]
    NoAnswer { place: String, reason: String },
    #[error(
        "{0:?} is no address of an embedder; give one like http://host:8080/embed or http://host:8080/v1/embeddings"
    )]
    NoAddress(String),
    #[error(
        "this embedder takes the embeddings that events bring and makes none: search by --id or --vector, or configure another"
    )]
    MakesNone,
    #[error("the model in {} cannot be used: {reason}", directory.display())]
    Model { directory: PathBuf, reason: String },
    #[error("PostgreSQL failed while embeddings were kept: {0}")]
    Database(#[from] sqlx::Error),
}

impl EmbedderError {
    /// Whether it may be the texts' fault: some servers break down on a text that is too long, or hang. It may be the
    /// embedder's all the same: [`fill`] finds out.
    pub fn may_be_of_texts(&self) -> bool {
        /// They say who asks, for what, or how often.
        const OF_THE_ENDPOINT: [u16; 5] = [401, 403, 404, 408, 429];
        match self {
            Self::Refused { status, .. } => !OF_THE_ENDPOINT.contains(status),
            Self::NoAnswer { .. } | Self::Unreachable { .. } => true,
            _ => false,
        }
    }
}

/// The SHA-256 of a text that is embedded, and of the rules that it was made by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Of a text made by these rules.
    pub fn of(rules: u8, text: &str) -> Self {
        Self(Sha256::new().chain_update([rules]).chain_update(text).finalize().into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text to be embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// What it is known by.
    pub hash: ContentHash,
    /// The text.
    pub text: String,
}

/// The embeddings that rows need.
pub struct Embeddings<'a> {
    /// The model that they are of.
    pub model: &'a str,
    /// Whether rows take what their events have brought instead.
    pub take_supplied: bool,
    alike_from: f32,
    /// None where the embedder has refused the text.
    of: HashMap<ContentHash, Option<TextEmbedding>>,
}

impl Embeddings<'_> {
    /// That of a text, if it has one.
    pub fn get(&self, hash: ContentHash) -> Option<&TextEmbedding> {
        self.of.get(&hash)?.as_ref()
    }

    /// Gives an event the embedding of its text.
    pub fn attach(&self, event: &mut FoldEvent<'_>, hash: ContentHash) {
        let numbers = if self.take_supplied { supplied(&event.content) } else { self.get(hash) };
        event.embedded = Some(Embedded { hash, numbers: numbers.cloned(), alike_from: self.alike_from });
    }
}

/// What an event has brought.
fn supplied(content: &Content) -> Option<&TextEmbedding> {
    let Content::Payload(payload) = content else { return None };
    let Payload::MicroStateObserved(observed) = &**payload else { return None };
    observed.text_embedding.as_ref()
}

/// Why rows did not get their embeddings.
#[derive(Debug)]
pub enum Lack {
    /// These are to be embedded first.
    Renditions(Vec<Rendition>),
    /// PostgreSQL failed.
    Database(sqlx::Error),
}

impl<'a> Embeddings<'a> {
    /// Of no texts.
    pub fn none(embedder: &'a dyn Embedder) -> Self {
        let (model, take_supplied) = (embedder.model(), embedder.takes_supplied());
        Self { model, take_supplied, alike_from: embedder.alike_from(), of: HashMap::new() }
    }

    /// Those of these texts.
    ///
    /// # Errors
    /// When one of them is not in the cache.
    pub async fn look_up(
        conn: &mut PgConnection,
        embedder: &'a dyn Embedder,
        renditions: &[&Rendition],
    ) -> Result<Self, Lack> {
        let mut embeddings = Self::none(embedder);
        if !embeddings.take_supplied && !renditions.is_empty() {
            embeddings.of = cache::look_up(conn, embedder.model(), renditions).await?;
        }
        Ok(embeddings)
    }
}

/// Makes sure that all texts that a fold wants are in the cache. It asks for no numbers, because most are of texts that
/// states know already.
pub async fn require<'e>(
    events: impl Iterator<Item = &'e FoldEvent<'e>>,
    embedder: &dyn Embedder,
    conn: &mut PgConnection,
) -> Result<(), Lack> {
    let wanted = events.filter_map(|event| event.wanted.as_ref());
    let once: BTreeMap<_, _> = wanted.map(|rendition| (rendition.hash, rendition)).collect();
    let wanted: Vec<_> = once.into_values().collect();
    if embedder.takes_supplied() || wanted.is_empty() {
        return Ok(());
    }
    let unknown = cache::unknown(conn, embedder.model(), &wanted).await.map_err(Lack::Database)?;
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Lack::Renditions(unknown.into_iter().cloned().collect())),
    }
}

/// Gives events the embeddings of the texts that a fold wants, unless the state knows them.
pub async fn attach<P: Projection>(
    events: &mut [FoldEvent<'_>],
    state: &P,
    embedder: &dyn Embedder,
    conn: &mut PgConnection,
) -> Result<(), Lack> {
    let wanted = events.iter().filter_map(|event| event.wanted.as_ref());
    let unknown: Vec<_> = wanted.filter(|rendition| !state.knows(rendition.hash)).collect();
    let embeddings = Embeddings::look_up(conn, embedder, &unknown).await?;
    for event in events {
        if let Some(Rendition { hash, .. }) = event.wanted {
            embeddings.attach(event, hash);
        }
    }
    Ok(())
}

/// Puts embeddings from the cache into the rows of a projection that holds any.
pub async fn complete<P: Projection>(
    rows: &mut P::Rows,
    embedder: &dyn Embedder,
    conn: &mut PgConnection,
) -> Result<(), Lack> {
    let renditions = P::renditions(rows);
    if !renditions.is_empty() {
        let embeddings = Embeddings::look_up(conn, embedder, &renditions).await?;
        P::embed(rows, &embeddings);
    }
    Ok(())
}

/// Tables hold embeddings of one embedder, because those of two cannot be compared.
#[derive(Debug, thiserror::Error)]
#[error(
    "the tables of {projection} hold embeddings of {settled}, and this is set to {wanted}: set the embedder whose model that is \
     (and --alike-from) again, or run `runledger rebuild {projection}` with the new setting"
)]
pub struct OtherEmbedder {
    projection: String,
    settled: String,
    wanted: String,
}

impl OtherEmbedder {
    /// The tables of this projection hold embeddings of `settled`.
    pub fn new(projection: &str, settled: String, wanted: &str) -> Self {
        Self { projection: projection.to_owned(), settled, wanted: wanted.to_owned() }
    }
}

/// Notes whose embeddings the tables of a generation hold, or that they are another's.
pub async fn settle<E: From<sqlx::Error> + From<OtherEmbedder>>(
    conn: &mut PgConnection,
    projection: &str,
    generation: i32,
    wanted: &str,
) -> Result<(), E> {
    let settled = query_scalar!("SELECT ledger.settle_embedder($1, $2, $3)", projection, generation, wanted);
    match settled.fetch_one(conn).await? {
        Some(settled) if settled != wanted => Err(OtherEmbedder::new(projection, settled, wanted).into()),
        _ => Ok(()),
    }
}

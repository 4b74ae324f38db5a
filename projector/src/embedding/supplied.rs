//! Whoever emits the events has a model, and sends its embeddings along.

use futures::{FutureExt, future::BoxFuture};

use super::{Embedder, EmbedderError, TextEmbedding};

/// Takes what events bring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Supplied;

impl Embedder for Supplied {
    fn model(&self) -> &str {
        "supplied"
    }

    fn takes_supplied(&self) -> bool {
        true
    }

    fn texts_max(&self) -> usize {
        1
    }

    fn calls_max(&self) -> usize {
        1
    }

    fn embed<'a>(&'a self, _: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>> {
        async { Err(EmbedderError::MakesNone) }.boxed()
    }
}

//! An embedder of which somebody has said how like screens of one kind are.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Embedder, EmbedderError, TextEmbedding};

/// An embedder, and from which cosine similarity on screens are of one kind.
pub struct AlikeFrom {
    /// What embeds.
    pub embedder: Arc<dyn Embedder>,
    /// From 0 to 1.
    pub similarity: f32,
}

impl Embedder for AlikeFrom {
    fn model(&self) -> &str {
        self.embedder.model()
    }

    fn takes_supplied(&self) -> bool {
        self.embedder.takes_supplied()
    }

    fn alike_from(&self) -> f32 {
        self.similarity
    }

    fn texts_max(&self) -> usize {
        self.embedder.texts_max()
    }

    fn calls_max(&self) -> usize {
        self.embedder.calls_max()
    }

    fn embed<'a>(&'a self, texts: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>> {
        self.embedder.embed(texts)
    }
}

//! What tables are made with, where it is something else than before, and which others still are made with that.

use serde::Serialize;
use sqlx::PgConnection;

use super::{Making, Rebuild, RebuildError};
use crate::{
    generation::{Generations, SERVING},
    registry::registry,
};

/// What tables are made with: an embedder, and for kinds of screens how like they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MadeWith {
    /// Those that served.
    pub before: String,
    /// Those that are rebuilt.
    pub after: String,
}

impl Making {
    /// None if the serving tables are made with the same.
    pub(super) fn made_with_another(&self) -> Option<MadeWith> {
        let before = self.serving.embedder.clone().filter(|before| *before != self.made_with)?;
        Some(MadeWith { before, after: self.made_with.clone() })
    }
}

impl Rebuild {
    /// Projections that hold embeddings and whose tables are made with something else than this is set to.
    pub(super) async fn made_otherwise(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Vec<(&'static str, String)>, RebuildError> {
        let generations = Generations::read(conn).await?;
        let holding = registry()?.iter().filter(|projection| projection.embeds);
        let with = holding.filter_map(|it| Some((it, generations.at(it.name, SERVING)?.embedder.clone()?)));
        Ok(with
            .filter(|(it, with)| *with != (it.made_with)(&*self.embedder))
            .map(|(it, with)| (it.name, with))
            .collect())
    }
}

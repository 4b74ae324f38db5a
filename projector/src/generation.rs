//! Generations: the sets of tables of a projection, and which of them is whose to write.
//!
//! Invariant: tables are written by a fold of the version that made them, and by no other. The swap of two
//! generations holds a lock (see [`PAUSE`]) that every step shares, so a step never meets one half-way.

use sqlx::{PgConnection, query, query_as};

use crate::{checkpoint::Version, registry::Registration};

/// The advisory lock class that a step holds shared and a swap exclusively; the object is the projection.
pub const PAUSE: i32 = 0x726C_7031;

/// Where a generation's tables are: the schema.
pub const SERVING: &str = "public";
/// Tables in the making.
pub const MAKING: &str = "rebuild";
/// Tables that served before.
pub const REPLACED: &str = "replaced";

/// A set of tables of a projection.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The projection.
    pub projection: String,
    /// Its number, from 1.
    pub generation: i32,
    /// The version of the fold that made it.
    pub version: i32,
    /// The schema where its tables are.
    pub place: String,
    /// The version of runledger that has this fold.
    pub made_by: String,
    /// Whose embeddings the tables hold, if they hold any.
    pub embedder: Option<String>,
}

/// Notes that the tables of the projections' migrations are theirs, where nothing is known of them yet.
pub async fn begin(conn: &mut PgConnection, projections: &[Registration]) -> Result<(), sqlx::Error> {
    for projection in projections {
        query!(
            "SELECT ledger.begin_projection($1, $2, $3)",
            projection.name,
            projection.version,
            env!("CARGO_PKG_VERSION")
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Every generation.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<Generation>, sqlx::Error> {
    query_as!(
        Generation,
        "SELECT projection, generation, version, place, made_by, embedder FROM ledger.generation ORDER BY projection, generation"
    )
    .fetch_all(conn)
    .await
}

impl Generation {
    /// Whether a fold of this version with this embedder may write the tables.
    pub fn is_of(&self, version: i32, embedder: &str) -> bool {
        self.version == version && self.embedder.as_deref().is_none_or(|its| its == embedder)
    }
}

/// Generations, to be asked what is whose.
#[derive(Clone, Debug, Default)]
pub struct Generations {
    all: Vec<Generation>,
    /// Versions that somebody went back from.
    undone: Vec<(String, i32)>,
}

impl Generations {
    /// Reads them.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let undone = query!("SELECT projection, version FROM ledger.undone_version").fetch_all(&mut *conn).await?;
        let undone = undone.into_iter().map(|row| (row.projection, row.version)).collect();
        Ok(Self { all: all(conn).await?, undone })
    }

    /// The one of this projection at this place.
    pub fn at(&self, projection: &str, place: &str) -> Option<&Generation> {
        self.all.iter().find(|generation| generation.projection == projection && generation.place == place)
    }

    /// What projectors with this fold keep up to date: see `ledger.kept_generation`.
    pub fn kept(&self, of: Version) -> Option<&Generation> {
        let kept = |place| self.at(of.projection, place).filter(|generation| generation.version == of.version);
        kept(SERVING).or_else(|| kept(REPLACED))
    }

    /// Whether the tables that serve were made by an older fold, and nobody has gone back from this one to it.
    pub fn is_outdated(&self, of: Version) -> bool {
        let is_undone = self.undone.iter().any(|(name, version)| name == of.projection && *version == of.version);
        !is_undone
            && self.kept(of).is_none()
            && self.at(of.projection, SERVING).is_some_and(|serving| serving.version < of.version)
    }
}

/// Whose tables and checkpoints a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Those that projectors keep up to date.
    Kept,
    /// Those of this number.
    Generation(i32),
}

impl Target {
    /// The number, if it is fixed.
    pub fn generation(self) -> Option<i32> {
        match self {
            Self::Kept => None,
            Self::Generation(generation) => Some(generation),
        }
    }
}

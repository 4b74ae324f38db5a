//! The models whose embeddings are kept, and what uses them: those that nothing uses any more can be deleted.

use serde::Serialize;
use sqlx::{PgConnection, query, query_as};

/// A model of which embeddings are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Its name.
    pub model: String,
    /// Texts that have an embedding, or were refused.
    pub texts: i64,
    /// Bytes of them, without indexes.
    pub bytes: i64,
    /// Projections of which tables are made with it: those that serve, that served before or that are in the making.
    pub used_by: Vec<String>,
}

/// All of them.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn models(conn: &mut PgConnection) -> Result<Vec<Model>, sqlx::Error> {
    query_as!(
        Model,
        r#"SELECT model, count(*) AS "texts!",
                  sum(pg_column_size(content_hash) + coalesce(pg_column_size(embedding), 0) + coalesce(pg_column_size(refusal), 0))::bigint AS "bytes!",
                  ARRAY(SELECT DISTINCT projection FROM ledger.generation
                        WHERE embedder = model OR starts_with(embedder, model || ', ') ORDER BY projection) AS "used_by!"
           FROM ledger.embedding_cache GROUP BY model ORDER BY model"#
    )
    .fetch_all(conn)
    .await
}

/// Deletes what is kept of a model that nothing uses, and says how many texts that were. Of one that is used by now, none.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget_model(conn: &mut PgConnection, model: &str) -> Result<u64, sqlx::Error> {
    let deleted = query!(
        "DELETE FROM ledger.embedding_cache WHERE model = $1
             AND NOT EXISTS (SELECT FROM ledger.generation WHERE embedder = $1 OR starts_with(embedder, $1 || ', '))",
        model
    );
    Ok(deleted.execute(conn).await?.rows_affected())
}

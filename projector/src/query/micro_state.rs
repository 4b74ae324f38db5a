//! Screens, and which are near one.
//!
//! Row-level security filters what the index hands out, and so do portal, label and time: an index that stopped after so
//! many rows would silently give too few. So it goes on until there are enough (`hnsw.iterative_scan`), where few rows are
//! meant all of them are compared, and where the index gives up all the same, all of them are compared too.

use chrono::{DateTime, Utc};
use events::id::{MicroStateId, OrgId};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

use super::raw;

/// If so many rows are meant, or fewer, all of them are compared: that takes no longer than the index does.
const FEW_MAX: i64 = 500;
/// So many candidates the index keeps while it searches, or twice as many as are wanted: at 40, its default, one in
/// thirty of the nearest is missed.
const CANDIDATES_MIN: i64 = 100;
/// What pgvector allows, halved.
pub const NEAREST_MAX: i64 = 500;

/// Which screens are meant; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct MicroStateFilter {
    /// Of this org.
    pub org_id: Option<OrgId>,
    /// With embeddings of this model.
    pub model: Option<String>,
    /// Of this kind of portal.
    pub portal_type: Option<String>,
    /// With this label.
    pub label: Option<String>,
    /// Seen at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Any but this.
    pub except: Option<MicroStateId>,
}

/// Which embedding is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// That of the rendition: 768 numbers.
    OfText,
    /// That of the picture: 512 numbers.
    OfImage,
}

/// The screens nearest to this vector, nearest first: rows of `micro_state` without their embeddings, with `distance`, the
/// cosine distance, from 0 to 2.
///
/// # Errors
/// When PostgreSQL fails, as it does for a vector of other dimensions.
pub async fn micro_state_nearest(
    conn: &mut PgConnection,
    vector: &[f32],
    nearness: Nearness,
    filter: &MicroStateFilter,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let candidates = (2 * limit).clamp(CANDIDATES_MIN, 2 * NEAREST_MAX);
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL hnsw.iterative_scan = relaxed_order; SET LOCAL hnsw.ef_search = {candidates};
         SET LOCAL max_parallel_workers_per_gather = 0"
    );
    let mut tx = conn.begin_with(AssertSqlSafe(begin).into_sql_str()).await?;
    let (few, count) = exact(&mut tx, vector, nearness, filter, limit, Some(FEW_MAX + 1)).await?;
    let mut found = if count <= FEW_MAX { few } else { by_index(&mut tx, vector, nearness, filter, limit).await? };
    if count > FEW_MAX && (found.len() as i64) < limit {
        found = exact(&mut tx, vector, nearness, filter, limit, None).await?.0;
    }
    tx.commit().await?;
    Ok(found)
}

/// By comparing all that are meant, or any so many of them; and how many those are.
async fn exact(
    conn: &mut PgConnection,
    vector: &[f32],
    nearness: Nearness,
    filter: &MicroStateFilter,
    limit: i64,
    compared_max: Option<i64>,
) -> Result<(Vec<Box<RawValue>>, i64), sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/query/micro_state/nearest_exact.sql",
        vector,
        filter.org_id as Option<OrgId>,
        filter.model,
        filter.portal_type,
        filter.label,
        filter.since,
        filter.except as Option<MicroStateId>,
        limit,
        compared_max,
        nearness == Nearness::OfImage
    );
    let rows = rows.fetch_all(conn).await?;
    let count = rows.first().map_or(0, |row| row.candidates);
    Ok((rows.into_iter().map(|row| raw(row.found)).collect::<Result<_, _>>()?, count))
}

async fn by_index(
    conn: &mut PgConnection,
    vector: &[f32],
    nearness: Nearness,
    filter: &MicroStateFilter,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    // Otherwise the planner may think it cheaper to sort all rows of an org.
    sqlx::query!("SELECT set_config('enable_sort', 'off', true)").fetch_one(&mut *conn).await?;
    let rows = match nearness {
        Nearness::OfText => {
            let rows = sqlx::query_file_scalar!(
                "src/query/micro_state/nearest_by_text.sql",
                vector,
                filter.org_id as Option<OrgId>,
                filter.model,
                filter.portal_type,
                filter.label,
                filter.since,
                filter.except as Option<MicroStateId>,
                limit
            );
            rows.fetch_all(conn).await?
        }
        Nearness::OfImage => {
            let rows = sqlx::query_file_scalar!(
                "src/query/micro_state/nearest_by_image.sql",
                vector,
                filter.org_id as Option<OrgId>,
                filter.model,
                filter.portal_type,
                filter.label,
                filter.since,
                filter.except as Option<MicroStateId>,
                limit
            );
            rows.fetch_all(conn).await?
        }
    };
    rows.into_iter().map(raw).collect()
}

/// The embeddings of a screen.
#[derive(Clone, Debug)]
pub struct MicroStateEmbeddings {
    /// Whose screen.
    pub org_id: OrgId,
    /// The model of the text's.
    pub model: Option<String>,
    /// Of its rendition.
    pub text: Option<Vec<f32>>,
    /// Of its picture.
    pub image: Option<Vec<f32>>,
}

/// The embeddings of the screen, in each org that has one of this id.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn micro_state_embeddings(
    conn: &mut PgConnection,
    micro_state_id: MicroStateId,
    org_id: Option<OrgId>,
) -> Result<Vec<MicroStateEmbeddings>, sqlx::Error> {
    sqlx::query_as!(
        MicroStateEmbeddings,
        r#"SELECT org_id AS "org_id: OrgId", embedding_model AS model,
                  text_embedding::vector::real[] AS text, image_embedding::vector::real[] AS image
           FROM micro_state WHERE micro_state_id = $1 AND ($2::uuid IS NULL OR org_id = $2) ORDER BY org_id"#,
        micro_state_id as MicroStateId,
        org_id as Option<OrgId>
    )
    .fetch_all(conn)
    .await
}

/// The models that embeddings are of, among the first few thousand screens that the reader may see.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn micro_state_models(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT embedding_model AS "model!"
           FROM (SELECT embedding_model FROM micro_state WHERE embedding_model IS NOT NULL LIMIT 5000) AS seen ORDER BY 1"#
    )
    .fetch_all(conn)
    .await
}

/// The screen, in each org that has one of this id: its row without embeddings, with `has_image_embedding` and
/// `same_content`, the ids of others of the org that have the same rendition.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn micro_state_show(
    conn: &mut PgConnection,
    micro_state_id: MicroStateId,
    org_id: Option<OrgId>,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!(
        "src/query/micro_state/show.sql",
        micro_state_id as MicroStateId,
        org_id as Option<OrgId>
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// Screens, the one seen last first: rows of `micro_state` without their embeddings. Sorts all that are meant.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn micro_state_list(
    conn: &mut PgConnection,
    filter: &MicroStateFilter,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!(
        "src/query/micro_state/list.sql",
        filter.org_id as Option<OrgId>,
        filter.portal_type,
        filter.label,
        filter.since,
        limit
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

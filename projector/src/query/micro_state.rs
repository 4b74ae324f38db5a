//! Screens, and which are near one.
//!
//! Row-level security filters what the index hands out, and so do portal, label and time: an index that stopped after so
//! many rows would silently give too few, and what it hands out is not quite in order. So where few rows are meant all of them
//! are compared; the index goes on until it has several times as many as are wanted (`hnsw.iterative_scan`), of which the nearest
//! are taken; and where it gives up all the same, all are compared too.

use chrono::{DateTime, Utc};
use events::id::{MicroStateId, OrgId};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

use super::raw;

/// If so many rows are meant, or fewer, all of them are compared: of 100,000 rows in 20 orgs, the index takes as long for
/// those of one as it takes to compare 5,000, and longer for fewer.
const FEW_MAX: i64 = 2_000;
/// So many times as many as are wanted are taken from the index: of just as many, one in ten is not among the nearest.
const OVERSAMPLING: i64 = 4;
/// So many candidates the index keeps while it searches, at least and at most: its default, and what it allows.
const CANDIDATES: (i64, i64) = (40, 1_000);
/// So many can be asked for.
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
    let candidates = (OVERSAMPLING * limit).clamp(CANDIDATES.0, CANDIDATES.1);
    // What is meant differs from call to call, so no plan is good for all of them. Once sorting is
    // discouraged, so that the index is used, a sort is so dear by estimate that PostgreSQL would compile it.
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL hnsw.iterative_scan = relaxed_order; SET LOCAL hnsw.ef_search = {candidates};
         SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off"
    );
    let mut tx = conn.begin_with(AssertSqlSafe(begin).into_sql_str()).await?;
    let count = count(&mut tx, filter).await?;
    let by_index = match count > FEW_MAX {
        true => by_index(&mut tx, vector, nearness, filter, limit).await?,
        false => None,
    };
    let found = match by_index {
        Some(found) => found,
        None => exact(&mut tx, vector, nearness, filter, limit).await?,
    };
    tx.commit().await?;
    Ok(found)
}

/// How many rows are meant, or more, because not all that is asked is in an index; or just more than are few.
async fn count(conn: &mut PgConnection, filter: &MicroStateFilter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM micro_state
               WHERE ($1::uuid IS NULL OR org_id = $1)
                 AND ($2::text IS NULL OR portal_type = $2)
                 AND ($3::text IS NULL OR label = $3)
                 AND ($4::timestamptz IS NULL OR last_seen_at >= $4)
               LIMIT $5
           ) AS meant"#,
        filter.org_id as Option<OrgId>,
        filter.portal_type,
        filter.label,
        filter.since,
        FEW_MAX + 1
    )
    .fetch_one(conn)
    .await
}

/// By comparing all that are meant.
async fn exact(
    conn: &mut PgConnection,
    vector: &[f32],
    nearness: Nearness,
    filter: &MicroStateFilter,
    limit: i64,
) -> Result<Vec<Box<RawValue>>, sqlx::Error> {
    let rows = sqlx::query_file_scalar!(
        "src/query/micro_state/nearest_exact.sql",
        vector,
        filter.org_id as Option<OrgId>,
        filter.model,
        filter.portal_type,
        filter.label,
        filter.since,
        filter.except as Option<MicroStateId>,
        limit,
        nearness == Nearness::OfImage
    );
    rows.fetch_all(conn).await?.into_iter().map(raw).collect()
}

/// By the index; none if it gave up before there were enough.
async fn by_index(
    conn: &mut PgConnection,
    vector: &[f32],
    nearness: Nearness,
    filter: &MicroStateFilter,
    limit: i64,
) -> Result<Option<Vec<Box<RawValue>>>, sqlx::Error> {
    // Otherwise the planner may think it cheaper to sort all rows of an org.
    sqlx::query!("SELECT set_config('enable_sort', 'off', true)").fetch_one(&mut *conn).await?;
    let rows: Vec<(i64, Option<String>)> = match nearness {
        Nearness::OfText => {
            let rows = sqlx::query_file!(
                "src/query/micro_state/nearest_by_text.sql",
                vector,
                filter.org_id as Option<OrgId>,
                filter.model,
                filter.portal_type,
                filter.label,
                filter.since,
                filter.except as Option<MicroStateId>,
                OVERSAMPLING * limit,
                limit
            );
            rows.fetch_all(conn).await?.into_iter().map(|row| (row.seen, row.found)).collect()
        }
        Nearness::OfImage => {
            let rows = sqlx::query_file!(
                "src/query/micro_state/nearest_by_image.sql",
                vector,
                filter.org_id as Option<OrgId>,
                filter.model,
                filter.portal_type,
                filter.label,
                filter.since,
                filter.except as Option<MicroStateId>,
                OVERSAMPLING * limit,
                limit
            );
            rows.fetch_all(conn).await?.into_iter().map(|row| (row.seen, row.found)).collect()
        }
    };
    if rows.first().is_none_or(|(seen, _)| *seen < OVERSAMPLING * limit) {
        return Ok(None);
    }
    rows.into_iter().map(|(_, found)| raw(found)).collect::<Result<_, _>>().map(Some)
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

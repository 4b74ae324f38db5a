//! How neighbours move when screens are embedded by something else: of a sample of screens, how many of the ten nearest in the
//! serving table are among the ten nearest in the rebuilt one.

use serde::Serialize;
use sqlx::{Connection, Row};

use super::{MadeWith, Making, RebuildError, Run};

/// So many screens are looked at. All of an org's are compared with each, twice, so it is few.
const SAMPLE: i64 = 100;

/// How neighbours have moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbours {
    /// What the serving table was made with.
    pub before: String,
    /// What the rebuilt one is made with.
    pub after: String,
    /// How many screens were looked at.
    pub screens: i64,
    /// Of their ten nearest before, the share that is among the ten nearest after, from 0 to 1; none where no screen has
    /// another beside it.
    pub overlap_at_10: Option<f64>,
}

/// The sample is the same every time: ids in the order of their hashes. Indexes are not asked, because they are not exact: the
/// sums see to that.
const OVERLAP: &str = "
    WITH sample AS (
        SELECT s.org_id, s.micro_state_id, s.text_embedding AS serving, r.text_embedding AS rebuilt
        FROM public.micro_state s JOIN rebuild.micro_state r USING (org_id, micro_state_id)
        WHERE s.text_embedding IS NOT NULL AND r.text_embedding IS NOT NULL
        ORDER BY md5(s.micro_state_id::text), s.org_id LIMIT $1
    ), overlap AS (
        SELECT (SELECT count(*) FROM unnest(before.ids) AS id WHERE id = ANY (after.ids)) AS common, cardinality(before.ids) AS among
        FROM sample
        CROSS JOIN LATERAL (SELECT ARRAY(
            SELECT other.micro_state_id FROM public.micro_state other
            WHERE other.org_id = sample.org_id AND other.micro_state_id <> sample.micro_state_id AND other.text_embedding IS NOT NULL
            ORDER BY (other.text_embedding OPERATOR(public.<=>) sample.serving) + 0, other.micro_state_id LIMIT 10) AS ids) AS before
        CROSS JOIN LATERAL (SELECT ARRAY(
            SELECT other.micro_state_id FROM rebuild.micro_state other
            WHERE other.org_id = sample.org_id AND other.micro_state_id <> sample.micro_state_id AND other.text_embedding IS NOT NULL
            ORDER BY (other.text_embedding OPERATOR(public.<=>) sample.rebuilt) + 0, other.micro_state_id LIMIT 10) AS ids) AS after
    )
    SELECT count(*) AS screens, (avg(common::float8 / among))::float8 AS overlap FROM overlap WHERE among > 0";

/// Compares the tables, if they are those of screens and are made with different embedders.
pub async fn compare(run: &Run, making: &Making) -> Result<Option<Neighbours>, RebuildError> {
    let Some(MadeWith { before, after }) = making.made_with_another() else { return Ok(None) };
    if making.projection.name != "micro_state" {
        return Ok(None);
    }
    let mut conn = run.pool.acquire().await?;
    let mut tx = conn.begin().await?;
    let row = sqlx::query(OVERLAP).bind(SAMPLE).fetch_one(&mut *tx).await?;
    tx.rollback().await?;
    Ok(Some(Neighbours { before, after, screens: row.try_get(0)?, overlap_at_10: row.try_get(1)? }))
}

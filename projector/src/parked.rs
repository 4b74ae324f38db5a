//! `ledger.parked`: events that a fold could not take, with the reason. Their rows are the fold of
//! the other events, flagged `unfoldable_event`. Each generation of a projection's tables has its own: what
//! one cannot take, the next may, while both are at work.

use std::collections::HashSet;

use events::id::{OrgId, Seq, SubjectId};
use sqlx::{PgConnection, query, query_scalar};

use crate::{checkpoint::Version, generation::Target, write::column};

/// An event to park.
#[derive(Clone, Debug)]
pub struct Parked {
    /// What it is about.
    pub subject_id: SubjectId,
    /// Its place in the ledger.
    pub seq: Seq,
    /// Why the fold cannot take it.
    pub reason: String,
}

/// Records the events; those recorded before stay as they are.
pub async fn park(
    conn: &mut PgConnection,
    of: Version,
    generation: i32,
    org_id: OrgId,
    events: &[Parked],
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    query!(
        "INSERT INTO ledger.parked (projection, version, generation, org_id, subject_id, seq, reason)
         SELECT $1, $2, $3, $4, * FROM UNNEST($5::uuid[], $6::bigint[], $7::text[])
         ON CONFLICT DO NOTHING",
        of.projection,
        of.version,
        generation,
        org_id as OrgId,
        &column(events, |event| event.subject_id) as &[SubjectId],
        &column(events, |event| event.seq) as &[Seq],
        &column(events, |event| event.reason.as_str()) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Which events about these subjects (all when there are none) are parked.
pub async fn seqs(
    conn: &mut PgConnection,
    of: Version,
    target: Target,
    org_id: OrgId,
    subjects: &[SubjectId],
) -> Result<HashSet<Seq>, sqlx::Error> {
    let seqs = query_scalar!(
        r#"SELECT seq AS "seq: Seq" FROM ledger.parked
           WHERE projection = $1 AND org_id = $3 AND (cardinality($4::uuid[]) = 0 OR subject_id = ANY($4)) AND generation = coalesce($5,
               (SELECT generation FROM ledger.kept_generation WHERE projection = $1 AND version = $2))"#,
        of.projection,
        of.version,
        org_id as OrgId,
        subjects as &[SubjectId],
        target.generation()
    );
    Ok(seqs.fetch_all(conn).await?.into_iter().collect())
}

/// Which events of the org are parked.
pub async fn seqs_of_org(
    conn: &mut PgConnection,
    of: Version,
    target: Target,
    org_id: OrgId,
) -> Result<HashSet<Seq>, sqlx::Error> {
    let seqs = query_scalar!(
        r#"SELECT seq AS "seq: Seq" FROM ledger.parked
           WHERE projection = $1 AND org_id = $3 AND generation = coalesce($4,
               (SELECT generation FROM ledger.kept_generation WHERE projection = $1 AND version = $2))"#,
        of.projection,
        of.version,
        org_id as OrgId,
        target.generation()
    );
    Ok(seqs.fetch_all(conn).await?.into_iter().collect())
}

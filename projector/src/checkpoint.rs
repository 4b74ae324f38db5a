//! Checkpoints: up to which seq the tables of a generation have an org folded. The row's lock is the claim
//! to the org, and it moves in the transaction that writes the rows.

use std::collections::HashMap;

use events::id::{OrgId, Seq};
use ledger::recent::Incarnation;
use sqlx::{PgConnection, query, query_file, query_scalar};

use crate::{generation::Target, projection::Projection, write::column};

/// A projection's name and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The projection.
    pub projection: &'static str,
    /// Its version.
    pub version: i32,
}

impl Version {
    /// The one that this program has.
    pub const fn of<P: Projection>() -> Self {
        Self { projection: P::NAME, version: P::VERSION }
    }
}

/// A checkpoint that is ours until the transaction ends.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Where it stands.
    pub seq: Seq,
    /// Whose it is.
    pub generation: i32,
    /// Where that is so.
    pub incarnation: Incarnation,
}

/// Locks the checkpoints of these orgs, each with where this process left it, and turns the search path to their
/// tables. What is missing somebody else has, or there are no tables of this version.
///
/// An org goes to the process that has its states in memory: to one that left it at another seq, it is free only once
/// nobody has moved it for a second.
pub async fn claim(
    conn: &mut PgConnection,
    of: Version,
    target: Target,
    left_at: &[(OrgId, Option<Seq>)],
) -> Result<HashMap<OrgId, Claim>, sqlx::Error> {
    let rows = query_file!(
        "src/checkpoint/claim.sql",
        of.projection,
        of.version,
        &column(left_at, |(org_id, _)| *org_id) as &[OrgId],
        &column(left_at, |(_, seq)| *seq) as &[Option<Seq>],
        target.generation()
    );
    let rows = rows.fetch_all(conn).await?.into_iter();
    let claim = |seq, generation, incarnation| Claim { seq, generation, incarnation };
    Ok(rows.map(|row| (row.org_id, claim(row.seq, row.generation, row.incarnation))).collect())
}

/// Makes the checkpoint if there is none, ready to be claimed by anybody.
pub async fn create(conn: &mut PgConnection, of: Version, target: Target, org_id: OrgId) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO ledger.checkpoint (projection, version, generation, org_id, seq, updated_at)
         SELECT $1, $2, generation, $3, 0, 'epoch' FROM ledger.generation
         WHERE projection = $1 AND version = $2 AND generation = coalesce($4,
             (SELECT generation FROM ledger.kept_generation WHERE projection = $1 AND version = $2))
         ON CONFLICT DO NOTHING",
        of.projection,
        of.version,
        org_id as OrgId,
        target.generation()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves claimed checkpoints.
pub async fn advance(
    conn: &mut PgConnection,
    of: Version,
    generation: i32,
    moved: &[(OrgId, Seq)],
) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE ledger.checkpoint SET seq = moved.seq, updated_at = now()
         FROM UNNEST($3::uuid[], $4::bigint[]) AS moved (org_id, seq)
         WHERE projection = $1 AND generation = $2 AND checkpoint.org_id = moved.org_id",
        of.projection,
        generation,
        &column(moved, |(org_id, _)| *org_id) as &[OrgId],
        &column(moved, |(_, seq)| *seq) as &[Seq]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits for the org and holds it until the transaction ends. Says where it stands.
pub async fn hold(
    conn: &mut PgConnection,
    projection: &str,
    generation: i32,
    org_id: OrgId,
) -> Result<Option<Seq>, sqlx::Error> {
    query_scalar!(
        r#"SELECT seq AS "seq: Seq" FROM ledger.checkpoint
           WHERE projection = $1 AND generation = $2 AND org_id = $3 FOR UPDATE"#,
        projection,
        generation,
        org_id as OrgId
    )
    .fetch_optional(conn)
    .await
}

/// Where an org of a generation stands.
pub async fn position(
    conn: &mut PgConnection,
    projection: &str,
    generation: i32,
    org_id: OrgId,
) -> Result<Option<Seq>, sqlx::Error> {
    query_scalar!(
        r#"SELECT seq AS "seq: Seq" FROM ledger.checkpoint WHERE projection = $1 AND generation = $2 AND org_id = $3"#,
        projection,
        generation,
        org_id as OrgId
    )
    .fetch_optional(conn)
    .await
}

/// Notes that an org has been loaded up to here. False if somebody has dropped the tables meanwhile.
pub async fn set(
    conn: &mut PgConnection,
    of: Version,
    generation: i32,
    org_id: OrgId,
    seq: Seq,
) -> Result<bool, sqlx::Error> {
    let noted = query!(
        "INSERT INTO ledger.checkpoint (projection, version, generation, org_id, seq, updated_at)
         SELECT $1, $2, $3, $4, $5, 'epoch' FROM ledger.generation
         WHERE projection = $1 AND version = $2 AND generation = $3 AND place = 'rebuild'",
        of.projection,
        of.version,
        generation,
        org_id as OrgId,
        seq as Seq
    );
    Ok(noted.execute(conn).await?.rows_affected() == 1)
}

/// Where every org of a generation stands.
pub async fn positions(
    conn: &mut PgConnection,
    projection: &str,
    generation: i32,
) -> Result<HashMap<OrgId, Seq>, sqlx::Error> {
    let rows = query!(
        r#"SELECT org_id AS "org_id: OrgId", seq AS "seq: Seq" FROM ledger.checkpoint WHERE projection = $1 AND generation = $2"#,
        projection,
        generation
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.org_id, row.seq)).collect())
}

/// An org that a projection is behind with.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    /// The place of the projection in the list that was asked about.
    pub projection: usize,
    /// The org.
    pub org_id: OrgId,
    /// Folded up to here; none where the projection has not begun with the org.
    pub seq: Option<Seq>,
    /// How far the ledger goes.
    pub head: Seq,
}

impl Behind {
    /// Where it stands: before the first event where it has not begun.
    pub fn at(&self) -> Seq {
        self.seq.unwrap_or(Seq::ZERO)
    }

    /// How many events of the org wait.
    pub fn events(&self) -> i64 {
        self.head.get() - self.at().get()
    }
}

/// Every org that one of these generations, each a projection and a number, is behind with.
pub async fn behind(conn: &mut PgConnection, generations: &[(&str, i32)]) -> Result<Vec<Behind>, sqlx::Error> {
    let (names, numbers): (Vec<_>, Vec<_>) =
        generations.iter().map(|(projection, generation)| ((*projection).to_owned(), *generation)).unzip();
    let rows = query!(
        r#"SELECT p.place AS "place!", h.org_id AS "org_id: OrgId", h.size AS "head: Seq", c.seq AS "seq?: Seq"
           FROM ledger.head h
           CROSS JOIN UNNEST($1::text[], $2::int[]) WITH ORDINALITY AS p (projection, generation, place)
           LEFT JOIN ledger.checkpoint c
               ON c.projection = p.projection AND c.generation = p.generation AND c.org_id = h.org_id
           WHERE h.size > coalesce(c.seq, 0)"#,
        &names,
        &numbers
    );
    let behind = |place: i64, org_id, seq, head| Behind { projection: place as usize - 1, org_id, seq, head };
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| behind(row.place, row.org_id, row.seq, row.head)).collect())
}

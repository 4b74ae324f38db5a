//! Checkpoints: up to which seq a projection's version has folded an org. The row's lock is the claim
//! to the org, and it moves in the transaction that writes the rows.

use events::id::{OrgId, Seq};
use sqlx::{PgConnection, query, query_scalar};

use crate::projection::Projection;

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

/// Locks the checkpoint and returns it, unless somebody else has the org.
///
/// An org goes to the process that has its states in memory: to one that left it at another seq than
/// `left_at`, it is free only once nobody has moved it for a second.
pub async fn claim(
    conn: &mut PgConnection,
    of: Version,
    org_id: OrgId,
    left_at: Option<Seq>,
) -> Result<Option<Seq>, sqlx::Error> {
    query_scalar!(
        r#"SELECT seq AS "seq: Seq" FROM ledger.checkpoint
           WHERE projection = $1 AND version = $2 AND org_id = $3
             AND (seq = $4 OR updated_at < now() - interval '1 second')
           FOR UPDATE SKIP LOCKED"#,
        of.projection,
        of.version,
        org_id as OrgId,
        left_at as Option<Seq>
    )
    .fetch_optional(conn)
    .await
}

/// Makes the checkpoint if there is none, ready to be claimed by anybody.
pub async fn create(conn: &mut PgConnection, of: Version, org_id: OrgId) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO ledger.checkpoint (projection, version, org_id, seq, updated_at) VALUES ($1, $2, $3, 0, 'epoch')
         ON CONFLICT DO NOTHING",
        of.projection,
        of.version,
        org_id as OrgId
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves a claimed checkpoint.
pub async fn advance(conn: &mut PgConnection, of: Version, org_id: OrgId, through: Seq) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE ledger.checkpoint SET seq = $4, updated_at = now() WHERE projection = $1 AND version = $2 AND org_id = $3",
        of.projection,
        of.version,
        org_id as OrgId,
        through as Seq
    )
    .execute(conn)
    .await?;
    Ok(())
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
    /// How many events of the org wait.
    pub fn events(&self) -> i64 {
        self.head.get() - self.seq.unwrap_or(Seq::ZERO).get()
    }
}

/// Every org that one of the projections is behind with.
pub async fn behind(conn: &mut PgConnection, projections: &[Version]) -> Result<Vec<Behind>, sqlx::Error> {
    let names: Vec<_> = projections.iter().map(|of| of.projection.to_owned()).collect();
    let versions: Vec<_> = projections.iter().map(|of| of.version).collect();
    let rows = query!(
        r#"SELECT p.place AS "place!", h.org_id AS "org_id: OrgId", h.size AS "head: Seq", c.seq AS "seq?: Seq"
           FROM ledger.head h
           CROSS JOIN UNNEST($1::text[], $2::int[]) WITH ORDINALITY AS p (projection, version, place)
           LEFT JOIN ledger.checkpoint c
               ON c.projection = p.projection AND c.version = p.version AND c.org_id = h.org_id
           WHERE h.size > coalesce(c.seq, 0)"#,
        &names,
        &versions
    );
    let behind = |place: i64, org_id, seq, head| Behind { projection: place as usize - 1, org_id, seq, head };
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| behind(row.place, row.org_id, row.seq, row.head)).collect())
}

//! Verifies an org's ledger: recomputes every leaf hash and the tree over them, and compares.
//!
//! A row that is missing, that was changed or that stands beyond the head is named by its seq, the
//! lowest one. Called by `runledger verify` and by tests.

use events::{
    Event, RecordedEvent,
    id::{OrgId, Seq},
};
use futures::{StreamExt, pin_mut};
use sqlx::PgConnection;

use crate::{
    merkle::{self, Frontier},
    read::{self, ReadError},
};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every event is as it was appended.
    Intact {
        /// How many there are.
        size: Seq,
        /// The root over them.
        root: [u8; 32],
    },
    /// The event at this seq is missing.
    Missing(Seq),
    /// The event at this seq is not what was appended.
    Changed(Seq),
    /// An event stands at this seq, behind the head.
    BeyondHead(Seq),
    /// Every event agrees with its leaf hash, and yet the tree over them is not the head's.
    OtherRoot,
}

/// Verifies one org. `progress` is called with the number of events looked at since the last call.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn verify_org(
    conn: &mut PgConnection,
    org_id: OrgId,
    mut progress: impl FnMut(u64),
) -> Result<Verdict, ReadError> {
    let head = sqlx::query!("SELECT size, frontier, root FROM ledger.head WHERE org_id = $1", org_id as OrgId)
        .fetch_optional(&mut *conn)
        .await?;
    let (size, frontier, root) = head
        .map_or_else(|| (0, Vec::new(), merkle::empty_root().to_vec()), |head| (head.size, head.frontier, head.root));
    let mut tree = Frontier::default();
    let mut expected = Seq::ZERO.next();
    {
        let events = read::events_between(conn, org_id, Seq::ZERO, Seq::new(size));
        pin_mut!(events);
        while let Some(event) = events.next().await {
            let recorded = match event {
                Ok(recorded) => recorded,
                Err(ReadError::Damaged { seq, .. }) => return Ok(first_of(expected, seq)),
                Err(error) => return Err(error),
            };
            if recorded.seq != expected {
                return Ok(Verdict::Missing(expected));
            }
            if !agrees(&recorded) {
                return Ok(Verdict::Changed(expected));
            }
            tree.push(recorded.leaf_hash);
            expected = expected.next();
            progress(1);
        }
    }
    if expected.get() <= size {
        return Ok(Verdict::Missing(expected));
    }
    if let Some(seq) = beyond(conn, org_id, Seq::new(size)).await? {
        return Ok(Verdict::BeyondHead(seq));
    }
    let same_frontier = tree.roots().iter().map(|root| root.as_slice()).eq(frontier.iter().map(Vec::as_slice));
    if !same_frontier || tree.root().as_slice() != root {
        return Ok(Verdict::OtherRoot);
    }
    Ok(Verdict::Intact { size: Seq::new(size), root: tree.root() })
}

fn agrees(recorded: &RecordedEvent) -> bool {
    let event: &Event = &recorded.event;
    merkle::leaf_hash(event, recorded.seq, recorded.recorded_at) == recorded.leaf_hash
}

fn first_of(expected: Seq, damaged: Seq) -> Verdict {
    if damaged == expected { Verdict::Changed(damaged) } else { Verdict::Missing(expected) }
}

/// An event behind the head that is not there because the ledger went on meanwhile.
async fn beyond(conn: &mut PgConnection, org_id: OrgId, size: Seq) -> Result<Option<Seq>, sqlx::Error> {
    // One statement, one snapshot: whatever the ledger appended since, it moved the head with it.
    sqlx::query_scalar!(
        r#"SELECT seq AS "seq: Seq" FROM ledger.event
           WHERE org_id = $1 AND seq > greatest($2, coalesce((SELECT size FROM ledger.head WHERE org_id = $1), 0))
           ORDER BY seq LIMIT 1"#,
        org_id as OrgId,
        size as Seq
    )
    .fetch_optional(conn)
    .await
}

/// Every org that has a head or, whatever happened to its head, a partition of the event table; with
/// the number of its events by its head.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn orgs(conn: &mut PgConnection) -> Result<Vec<(OrgId, Seq)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT org_id AS "org_id!: OrgId", coalesce(max(size), 0) AS "size!: Seq"
           FROM (SELECT org_id, size FROM ledger.head
                 UNION ALL
                 SELECT substring(inhrelid::regclass::text FROM 'event_([0-9a-f]{32})$')::uuid, 0
                 FROM pg_inherits WHERE inhparent = 'ledger.event'::regclass) AS known (org_id, size)
           WHERE org_id IS NOT NULL GROUP BY org_id ORDER BY org_id"#
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.org_id, row.size)).collect())
}

//! The heads of a batch's orgs: locked by one statement, stored by another.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{Event, id::OrgId};
use sqlx::PgConnection;

use super::ORG_REGISTERED;
use crate::merkle::{Frontier, MisshapenFrontier};

/// How far the ledger of an org goes. Its row is locked.
pub(super) struct Head {
    /// The Merkle tree, or what is wrong with it: somebody changed the row, and nothing can be appended
    /// behind it.
    pub(super) frontier: Result<Frontier, MisshapenFrontier>,
    /// When events that are appended now are recorded.
    pub(super) recorded_at: DateTime<Utc>,
    /// Whether some of its events are archived.
    pub(super) has_archive: bool,
    /// Whether the org is new, and the event that registers it is still to come.
    awaits_registration: bool,
}

impl Head {
    /// Whether the org is registered: before, or by this event or an earlier one of the batch.
    pub(super) fn is_registered_by(&mut self, event: &Event) -> bool {
        self.awaits_registration &= event.event_type != ORG_REGISTERED;
        !self.awaits_registration
    }
}

/// Locks the heads of these orgs, in the order of their ids; makes those of orgs that the batch registers.
/// Those of unknown orgs are missing from the result.
pub(super) async fn lock(
    conn: &mut PgConnection,
    orgs: &BTreeMap<OrgId, bool>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<OrgId, Head>, sqlx::Error> {
    let mut heads = lock_existing(conn, orgs.keys().copied().collect(), now).await?;
    let missing = |(org_id, registered): &(&OrgId, &bool)| **registered && !heads.contains_key(org_id);
    let new: Vec<OrgId> = orgs.iter().filter(missing).map(|(org_id, _)| *org_id).collect();
    if !new.is_empty() {
        // Another writer may register one at the same moment; the insert waits for that one, and the lock
        // then reads what it left.
        sqlx::query!(
            "INSERT INTO ledger.head (org_id, updated_at) SELECT org_id, $2 FROM UNNEST($1::uuid[]) AS new (org_id) ORDER BY org_id ON CONFLICT (org_id) DO NOTHING",
            &new as &[OrgId],
            now
        )
        .execute(&mut *conn)
        .await?;
        for (org_id, mut head) in lock_existing(conn, new, now).await? {
            head.awaits_registration = head.frontier.as_ref().is_ok_and(|frontier| frontier.size() == 0);
            heads.insert(org_id, head);
        }
    }
    Ok(heads)
}

async fn lock_existing(
    conn: &mut PgConnection,
    orgs: Vec<OrgId>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<OrgId, Head>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT org_id AS "org_id: OrgId", size, frontier, updated_at,
                  EXISTS (SELECT FROM ledger.archive WHERE archive.org_id = head.org_id) AS "has_archive!"
           FROM ledger.head WHERE org_id = ANY($1) ORDER BY org_id FOR UPDATE OF head"#,
        &orgs as &[OrgId]
    )
    .fetch_all(conn)
    .await?;
    let heads = rows.into_iter().map(|row| {
        let frontier = Frontier::restore(row.size as u64, &row.frontier);
        let recorded_at = now.max(row.updated_at);
        (row.org_id, Head { frontier, recorded_at, has_archive: row.has_archive, awaits_registration: false })
    });
    Ok(heads.collect())
}

/// Stores the heads that events were appended behind. False if an org has an archive that it had not when
/// its head was read; its events are dropped only by who has locked the head.
pub(super) async fn store(conn: &mut PgConnection, heads: BTreeMap<OrgId, Head>) -> Result<bool, sqlx::Error> {
    let (mut orgs, mut sizes, mut frontiers, mut roots, mut updated_ats) = (vec![], vec![], vec![], vec![], vec![]);
    for (org_id, head) in &heads {
        let Ok(frontier) = &head.frontier else { continue };
        orgs.push(*org_id);
        sizes.push(frontier.size() as i64);
        frontiers.push(frontier.roots().concat());
        roots.push(frontier.root().to_vec());
        updated_ats.push(head.recorded_at);
    }
    if orgs.is_empty() {
        return Ok(true);
    }
    let archived = sqlx::query_file_scalar!(
        "src/append/store_heads.sql",
        &orgs as &[OrgId],
        &sizes,
        &frontiers,
        &roots,
        &updated_ats
    )
    .fetch_all(conn)
    .await?;
    let archived: Vec<OrgId> = archived.into_iter().flatten().collect();
    Ok(archived.iter().all(|org_id| heads[org_id].has_archive))
}

//! Heads: read and locked by one statement for all orgs of a batch, or remembered from the last batch. They are
//! stored by the statement that writes the events.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use events::{Event, id::OrgId};
use sqlx::PgConnection;

use super::ORG_REGISTERED;
use crate::merkle::{Frontier, MisshapenFrontier};

/// How many heads are remembered at most, of about 1 KiB each.
const REMEMBERED_MAX: usize = 8_192;

/// How far the ledger of an org goes.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The Merkle tree, or what is wrong with it: somebody changed the row, and nothing can be appended
    /// behind it.
    pub(super) frontier: Result<Frontier, MisshapenFrontier>,
    /// When the last event was recorded; the next one is not earlier.
    pub(super) recorded_at: DateTime<Utc>,
    /// Whether some of its events may be archived.
    pub(super) has_archive: bool,
    /// The row's `xmin`: whoever writes the row gives it another.
    pub(super) version: i64,
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
    let mut heads = lock_existing(conn, orgs.keys().copied().collect()).await?;
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
        for (org_id, mut head) in lock_existing(conn, new).await? {
            head.awaits_registration = head.frontier.as_ref().is_ok_and(|frontier| frontier.size() == 0);
            heads.insert(org_id, head);
        }
    }
    Ok(heads)
}

async fn lock_existing(conn: &mut PgConnection, orgs: Vec<OrgId>) -> Result<BTreeMap<OrgId, Head>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT org_id AS "org_id: OrgId", size, frontier, updated_at, xmin::text::bigint AS "version!",
                  EXISTS (SELECT FROM ledger.archive WHERE archive.org_id = head.org_id) AS "has_archive!"
           FROM ledger.head WHERE org_id = ANY($1) ORDER BY org_id FOR UPDATE OF head"#,
        &orgs as &[OrgId]
    )
    .fetch_all(conn)
    .await?;
    let heads = rows.into_iter().map(|row| {
        let head = Head {
            frontier: Frontier::restore(row.size as u64, &row.frontier),
            recorded_at: row.updated_at,
            has_archive: row.has_archive,
            version: row.version,
            awaits_registration: false,
        };
        (row.org_id, head)
    });
    Ok(heads.collect())
}

/// The heads of orgs as a writer left them: for as long as nobody else writes them, there is no need to read them.
#[derive(Debug, Default)]
pub struct Heads(HashMap<OrgId, Head>);

impl Heads {
    /// The head of an org as it was left, if it is known and well.
    pub(super) fn get(&self, org_id: OrgId) -> Option<&Head> {
        self.0.get(&org_id).filter(|head| head.frontier.is_ok())
    }

    /// Notes heads that were committed.
    pub(super) fn remember(&mut self, heads: BTreeMap<OrgId, Head>) {
        if self.0.len() + heads.len() > REMEMBERED_MAX {
            self.forget();
        }
        self.0.extend(heads);
    }

    /// Forgets all: somebody else has written one of them.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

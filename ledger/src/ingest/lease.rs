//! Who reads which partition: leases held by advisory locks.
//!
//! Invariant: a partition has at most one holder, because the lock is held by the connection that
//! appends: when that is lost, so is the lease, and nothing more can be committed. Holders count each
//! other by a lock of their own and take no more than a fair share.

use sqlx::PgConnection;
use std::collections::BTreeSet;

use crate::stream::PARTITIONS;

/// The advisory lock class of leases: the object is the partition.
const LEASE: i32 = 0x726C_6C31;
/// The advisory lock class of members: the object is a number of the member's own.
const MEMBER: i32 = 0x726C_6D31;

/// Counts this connection's process among those that share the partitions, for as long as it lasts.
pub(super) async fn join(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_lock_shared($1, pg_backend_pid())", MEMBER).execute(conn).await?;
    Ok(())
}

/// How the partitions are shared at the moment.
pub(super) struct Shares {
    /// How many partitions each member should hold.
    pub(super) fair: usize,
    /// The partitions that nobody holds.
    pub(super) free: Vec<u32>,
}

impl Shares {
    /// Gives up wanted partitions beyond the fair share, or wants free ones up to it. Says whether that changed
    /// anything.
    pub(super) fn balance(&self, wanted: &mut BTreeSet<u32>) -> bool {
        let before = wanted.len();
        while wanted.len() > self.fair {
            wanted.pop_last();
        }
        let free: Vec<u32> = self.free.iter().copied().filter(|partition| !wanted.contains(partition)).collect();
        // Members begin at different places, so that they seldom reach for the same partition.
        let offset = std::process::id() as usize % free.len().max(1);
        wanted.extend(free.iter().cycle().skip(offset).take(free.len()).take(self.fair.saturating_sub(wanted.len())));
        wanted.len() != before
    }
}

pub(super) async fn shares(conn: &mut PgConnection) -> Result<Shares, sqlx::Error> {
    let locks = sqlx::query!(
        r#"SELECT classid::bigint::int AS "class!", objid::bigint AS "object!" FROM pg_locks
           WHERE locktype = 'advisory' AND granted AND objsubid = 2
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND classid::bigint IN ($1, $2)"#,
        i64::from(MEMBER),
        i64::from(LEASE)
    )
    .fetch_all(conn)
    .await?;
    let members = locks.iter().filter(|lock| lock.class == MEMBER).count().max(1);
    let held: BTreeSet<i64> = locks.iter().filter(|lock| lock.class == LEASE).map(|lock| lock.object).collect();
    Ok(Shares {
        fair: (PARTITIONS as usize).div_ceil(members),
        free: (0..PARTITIONS).filter(|partition| !held.contains(&i64::from(*partition))).collect(),
    })
}

/// Takes the lease of a partition for as long as the connection lasts. False if somebody else has it.
pub(super) async fn take(conn: &mut PgConnection, partition: u32) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1, $2) AS "taken!""#, LEASE, partition as i32)
        .fetch_one(conn)
        .await
}

/// Gives the lease of a partition up.
pub(super) async fn give_up(conn: &mut PgConnection, partition: u32) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("SELECT pg_advisory_unlock($1, $2)", LEASE, partition as i32).fetch_one(conn).await?;
    Ok(())
}

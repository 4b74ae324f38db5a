//! Drops the archived events of an org from the table. Called by `runledger archive --drop`, as the owner.
//!
//! What stays of each of them goes into `ledger.archived_event`; the other events are copied into a partition
//! of their own beside the old one; then one short transaction swaps the two. It begins only if all is kept that has
//! to be, and commits only if archive and copy, read back, give the root of the head that it has locked. Killed at any
//! moment, it has swapped or it has not, and what else it left is used or replaced by the next attempt.

mod keep;

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use events::id::{OrgId, Seq};
use futures::StreamExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    ArchiveError, ArchiveFile,
    write::{lock, unlock},
};
use crate::{
    connection::Backoff,
    merkle::{self, Frontier, Hash},
    migrate::shape,
    read,
    verify::{self, Verdict},
};

/// Events that are copied, or of which the remains are written, by one statement.
const CHUNK: usize = 5_000;
/// How often the swap is tried; with the waits between, for a minute and a half.
const ATTEMPTS_MAX: u32 = 50;

/// What was dropped.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The events from 1 to here stand in the archive alone now.
    pub through: Seq,
    /// How many events that are.
    pub events: i64,
    /// The size of the partition before, indices included.
    pub bytes_before: i64,
    /// Its size now.
    pub bytes_after: i64,
    /// How often the swap was tried.
    pub attempts: u32,
    /// How long the swap held up who reads or writes events.
    pub locked_for: Duration,
}

/// What the work is on.
struct Swap<'c> {
    owner: &'c mut PgConnection,
    org_id: OrgId,
    /// The last archived event.
    through: Seq,
    /// The tree over what is archived and copied.
    tree: Frontier,
    /// The files whose events are dropped, each with the hash over what has to stay of them.
    kept: Vec<(ArchiveFile, Hash)>,
}

/// Drops what is archived and not dropped yet; none if there is nothing. `reading` reads across orgs, `owner`
/// owns the tables. `progress` is called with the number of events proved, kept or copied since the last call.
///
/// # Errors
/// Then nothing was dropped.
pub async fn drop_archived(
    reading: &mut PgConnection,
    owner: &mut PgConnection,
    org_id: OrgId,
    progress: impl FnMut(u64),
) -> Result<Option<Dropped>, ArchiveError> {
    lock(owner, org_id).await?;
    let dropped = if shape::hold(owner).await? {
        let dropped = drop_locked(reading, owner, org_id, progress).await;
        shape::release(owner).await?;
        dropped
    } else {
        Err(ArchiveError::Migrating(org_id))
    };
    unlock(owner, org_id).await?;
    dropped
}

async fn drop_locked(
    reading: &mut PgConnection,
    owner: &mut PgConnection,
    org_id: OrgId,
    mut progress: impl FnMut(u64),
) -> Result<Option<Dropped>, ArchiveError> {
    if read::head(reading, org_id).await?.is_none() {
        return Err(ArchiveError::UnknownOrg(org_id));
    }
    let files = super::files(reading, org_id).await?;
    let dropped = super::through(reading, org_id).await?;
    let Some(last) = files.last().filter(|file| file.last > dropped) else { return Ok(None) };
    if !is_partitioned(reading).await? {
        return Err(ArchiveError::NotPartitioned);
    }
    match verify::verify_org_and_archive(reading, org_id, None, &mut progress).await? {
        Verdict::Intact { .. } => {}
        verdict => return Err(ArchiveError::NotProved { org_id, verdict }),
    }
    let bytes_before = partition_bytes(reading, org_id).await?;
    let mut kept = Vec::new();
    for file in files.iter().filter(|file| file.dropped_at.is_none()) {
        kept.push((file.clone(), keep::keep(reading, owner, file, &mut progress).await?));
    }
    let tree = Frontier::restore(last.last.get() as u64, &last.frontier).map_err(|damage| ArchiveError::Frontier {
        org_id,
        last: last.last,
        damage,
    })?;
    let mut swap = Swap { owner, org_id, through: last.last, tree, kept };
    let (attempts, locked_for) = match swap.run(reading, &mut progress).await {
        Ok(swapped) => swapped,
        Err(error) => {
            swap.discard().await;
            return Err(error);
        }
    };
    let bytes_after = partition_bytes(reading, org_id).await?;
    let (through, events) = (last.last, last.last.get() - dropped.get());
    Ok(Some(Dropped { through, events, bytes_before, bytes_after, attempts, locked_for }))
}

async fn is_partitioned(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT relkind = 'p' AS "is!" FROM pg_class WHERE oid = 'ledger.event'::regclass"#)
        .fetch_one(conn)
        .await
}

async fn partition_bytes(conn: &mut PgConnection, org_id: OrgId) -> Result<i64, sqlx::Error> {
    let bytes = sqlx::query_scalar!("SELECT pg_total_relation_size(to_regclass($1))", partition(org_id));
    Ok(bytes.fetch_one(conn).await?.unwrap_or(0))
}

fn partition(org_id: OrgId) -> String {
    format!("ledger.event_{}", org_id.uuid().simple())
}

impl Swap<'_> {
    /// Copies what stays and swaps: how often it was tried, and how long the one that came through locked.
    async fn run(
        &mut self,
        reading: &mut PgConnection,
        progress: &mut impl FnMut(u64),
    ) -> Result<(u32, Duration), ArchiveError> {
        sqlx::query!("SELECT ledger.prepare_rest($1)", self.org_id as OrgId).execute(&mut *self.owner).await?;
        self.copy_to_head(reading, progress).await?;
        let analyze = format!("ANALYZE {}_rest", partition(self.org_id));
        sqlx::raw_sql(AssertSqlSafe(analyze)).execute(&mut *self.owner).await?;
        let mut backoff = Backoff::default();
        for attempt in 1..=ATTEMPTS_MAX {
            self.check_kept(reading).await?;
            // Last, so that little is left to copy under the lock.
            self.copy_to_head(reading, progress).await?;
            match self.swap().await {
                Ok(locked_for) => return Ok((attempt, locked_for)),
                Err(ArchiveError::Database(error)) if is_locked(&error) => {
                    tracing::info!(org_id = %self.org_id, attempt, "the events are in use; trying again to swap the partition");
                    backoff.wait().await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(ArchiveError::InUse(self.org_id))
    }

    /// Makes sure that the database keeps all that has to stay, and nothing else. Nobody changes these rows: this is
    /// for what a killed attempt, a restored backup or a hand has left.
    async fn check_kept(&self, reading: &mut PgConnection) -> Result<(), ArchiveError> {
        for (file, hash) in &self.kept {
            if keep::hash(reading, file).await? != *hash {
                return Err(ArchiveError::NotKept { org_id: self.org_id, first: file.first, last: file.last });
            }
        }
        Ok(())
    }

    fn copied(&self) -> Seq {
        Seq::new(self.tree.size() as i64)
    }

    async fn copy_to_head(
        &mut self,
        reading: &mut PgConnection,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), ArchiveError> {
        let head = read::head(reading, self.org_id).await?.unwrap_or(Seq::ZERO);
        while self.copied() < head {
            let from = self.copied();
            let through = Seq::new(from.get() + CHUNK as i64).min(head);
            self.tree = copy(self.owner, self.org_id, self.tree.clone(), through).await?;
            progress((through.get() - from.get()) as u64);
        }
        Ok(())
    }

    /// One attempt, and how long it locked.
    async fn swap(&mut self) -> Result<Duration, ArchiveError> {
        let mut tx = self.owner.begin().await?;
        for (file, hash) in &self.kept {
            keep::record_hash(&mut tx, file, hash).await?;
        }
        match lock_and_swap(&mut tx, self.org_id, self.tree.clone(), self.through).await {
            Ok(locked_at) => {
                tx.commit().await?;
                Ok(locked_at.elapsed())
            }
            Err(error) => {
                // Not left to the drop: nobody is to wait for locks any longer.
                tx.rollback().await?;
                Err(error)
            }
        }
    }

    /// Removes the copy, which nobody needs any more.
    async fn discard(&mut self) {
        let discard = format!("DROP TABLE IF EXISTS {}_rest", partition(self.org_id));
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(discard)).execute(&mut *self.owner).await {
            tracing::warn!(org_id = %self.org_id, %error, "what was copied stays until the next attempt");
        }
    }
}

/// Swaps the partitions if archive and copy give the root of the head: since when the locks are held, which the
/// caller's commit releases.
async fn lock_and_swap(
    tx: &mut PgConnection,
    org_id: OrgId,
    tree: Frontier,
    through: Seq,
) -> Result<Instant, ArchiveError> {
    let locked = sqlx::query!(
        r#"SELECT size AS "size!: Seq", frontier AS "frontier!", root AS "root!" FROM ledger.lock_for_drop($1)"#,
        org_id as OrgId
    );
    let head = locked.fetch_optional(&mut *tx).await?.ok_or(ArchiveError::UnknownOrg(org_id))?;
    let locked_at = Instant::now();
    let tree = copy(tx, org_id, tree, head.size).await?;
    if !tree.is(&head.frontier, &head.root) {
        return Err(ArchiveError::NotProved { org_id, verdict: Verdict::OtherRoot });
    }
    sqlx::query!("SELECT ledger.swap_partition($1, $2)", org_id as OrgId, through as Seq).execute(tx).await?;
    Ok(locked_at)
}

/// Copies the events behind the tree up to `through`, reads them back and adds them to it.
async fn copy(
    owner: &mut PgConnection,
    org_id: OrgId,
    mut tree: Frontier,
    through: Seq,
) -> Result<Frontier, ArchiveError> {
    let after = Seq::new(tree.size() as i64);
    if through <= after {
        return Ok(tree);
    }
    let copied = sqlx::query_scalar!(
        r#"SELECT ledger.copy_rest($1, $2, $3) AS "copied!""#,
        org_id as OrgId,
        after as Seq,
        through as Seq
    );
    copied.fetch_one(&mut *owner).await?;
    let rest = format!("{}_rest", partition(org_id));
    let mut events = pin!(read::events_of_table(owner, &rest, org_id, after, through));
    while let Some(recorded) = events.next().await {
        let recorded = recorded?;
        let expected = Seq::new(tree.size() as i64).next();
        let leaf_hash = merkle::leaf_hash(&recorded.event, recorded.seq, recorded.recorded_at);
        if recorded.seq != expected || leaf_hash != recorded.leaf_hash {
            return Err(ArchiveError::Damaged { org_id, seq: expected });
        }
        tree.push(leaf_hash);
    }
    match Seq::new(tree.size() as i64) {
        reached if reached == through => Ok(tree),
        reached => Err(ArchiveError::Damaged { org_id, seq: reached.next() }),
    }
}

/// Whether somebody else had what the swap must lock.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "55P03" || code == "40P01")
}

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
    archive::{
        self,
        remains::{self, RemainsHash},
    },
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
        /// Of the first so many, the database has the leaf hashes only.
        archived: Seq,
    },
    /// The event at this seq is missing.
    Missing(Seq),
    /// The event at this seq is not what was appended.
    Changed(Seq),
    /// An event stands at this seq, behind the head.
    BeyondHead(Seq),
    /// The database keeps something of an archived event at this seq, and none is archived there.
    BeyondArchive(Seq),
    /// Every event agrees with its leaf hash, and yet the tree over them is not the head's.
    OtherRoot,
    /// The archive does not give this event, the lowest.
    Archive {
        /// Which event.
        seq: Seq,
        /// What is wrong with the archive.
        fault: String,
    },
}

/// Verifies one org by what the database has: of events that were dropped from the table, the leaf hashes.
/// `progress` is called with the number of events looked at since the last call.
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
    let found = match archived_leaves(conn, org_id, &mut tree, &mut progress).await? {
        None => match returned(conn, org_id, next(&tree)).await? {
            Some(seq) => Some(Verdict::Changed(seq)),
            None => table(conn, org_id, Seq::new(size), &mut tree, &mut progress).await?,
        },
        found => found,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    if let Some(seq) = beyond(conn, org_id, Seq::new(size)).await? {
        return Ok(Verdict::BeyondHead(seq));
    }
    if let Some(seq) = remains::beyond_archive(conn, org_id).await? {
        return Ok(Verdict::BeyondArchive(seq));
    }
    if !tree.is(&frontier, &root) {
        return Ok(Verdict::OtherRoot);
    }
    let archived = archive::through(conn, org_id).await?.min(Seq::new(size));
    Ok(Verdict::Intact { size: Seq::new(size), root: tree.root(), archived })
}

/// Verifies one org as [`verify_org`] does, and that its archive files hold what was appended; the files in
/// `directory` if one is given, else where they were written.
///
/// # Errors
/// When PostgreSQL fails.
#[cfg(feature = "archive")]
pub async fn verify_org_and_archive(
    conn: &mut PgConnection,
    org_id: OrgId,
    directory: Option<&archive::store::Directory>,
    mut progress: impl FnMut(u64),
) -> Result<Verdict, ReadError> {
    // First, because only the files tell which of the dropped events is not what was appended.
    let files = archive::files(conn, org_id).await?;
    match archive::proof::faults(conn, &files, directory, &mut progress).await? {
        Some(found) => Ok(found),
        None => verify_org(conn, org_id, progress).await,
    }
}

/// Adds the leaves of the events that were dropped from the table to the tree.
async fn archived_leaves(
    conn: &mut PgConnection,
    org_id: OrgId,
    tree: &mut Frontier,
    progress: &mut impl FnMut(u64),
) -> Result<Option<Verdict>, ReadError> {
    let dropped = archive::files(conn, org_id).await?.into_iter().filter(|file| file.dropped_at.is_some());
    for file in dropped {
        let mut hash = RemainsHash::new();
        let mut rows = remains::remains(conn, org_id, file.first, file.last);
        while let Some(row) = rows.next().await {
            let row = row?;
            let expected = next(tree);
            if row.seq != expected {
                return Ok(Some(Verdict::Missing(expected)));
            }
            hash.add(&row);
            match row.leaf_hash.try_into() {
                Err(_) => return Ok(Some(Verdict::Changed(expected))),
                Ok(leaf_hash) => tree.push(leaf_hash),
            }
            progress(1);
        }
        drop(rows);
        if next(tree) != file.last.next() {
            return Ok(Some(Verdict::Missing(next(tree))));
        }
        if !tree.is(&file.frontier, &file.root) {
            let fault = format!(
                "the leaf hashes kept of the events up to seq {} are not those of {}; `runledger verify --archive` tells which",
                file.last, file.location
            );
            return Ok(Some(Verdict::Archive { seq: file.first, fault }));
        }
        if file.remains_hash.is_some_and(|kept| kept != hash.finish()) {
            let fault = format!(
                "what is kept of the events up to seq {} is not what was kept when they were dropped; `runledger verify --archive` tells of which",
                file.last
            );
            return Ok(Some(Verdict::Archive { seq: file.first, fault }));
        }
    }
    Ok(None)
}

/// An event in the table that was dropped from it: whoever put it there is not the ledger.
async fn returned(conn: &mut PgConnection, org_id: OrgId, first_kept: Seq) -> Result<Option<Seq>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT seq AS "seq: Seq" FROM ledger.event WHERE org_id = $1 AND seq < $2 ORDER BY seq LIMIT 1"#,
        org_id as OrgId,
        first_kept as Seq
    )
    .fetch_optional(conn)
    .await
}

/// Looks at the events behind the tree, up to `size`, and adds their leaves to it.
async fn table(
    conn: &mut PgConnection,
    org_id: OrgId,
    size: Seq,
    tree: &mut Frontier,
    progress: &mut impl FnMut(u64),
) -> Result<Option<Verdict>, ReadError> {
    let events = read::events_between(conn, org_id, next(tree), size);
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let expected = next(tree);
        let recorded = match event {
            Ok(recorded) => recorded,
            Err(ReadError::Damaged { seq, .. }) => return Ok(Some(first_of(expected, seq))),
            Err(error) => return Err(error),
        };
        if recorded.seq != expected {
            return Ok(Some(Verdict::Missing(expected)));
        }
        if !agrees(&recorded) {
            return Ok(Some(Verdict::Changed(expected)));
        }
        tree.push(recorded.leaf_hash);
        progress(1);
    }
    Ok((next(tree) <= size).then(|| Verdict::Missing(next(tree))))
}

/// The seq whose leaf comes next.
fn next(tree: &Frontier) -> Seq {
    Seq::new(tree.size() as i64).next()
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

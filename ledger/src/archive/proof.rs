//! A file against the ledger: every event in it is read, its leaf hash is computed anew and compared with the
//! one that the ledger has, and so is the tree. Called after a file was written, by `verify --archive` and
//! before events are dropped.

use std::collections::BTreeMap;

use events::{
    RecordedEvent,
    id::{OrgId, Seq},
};
use futures::TryStreamExt;
use sqlx::PgConnection;

use super::{
    ArchiveFile, FileError,
    file::Reader,
    remains::{self, Remains},
};
use crate::{merkle::Frontier, read::ReadError, verify::Verdict};

/// What the ledger has of an event.
#[derive(Default)]
struct Known {
    /// In the table.
    leaf_hash: Option<Vec<u8>>,
    /// What stayed of it when it was dropped, or is about to be.
    remains: Option<Remains>,
}

impl Known {
    fn is_missing(&self) -> bool {
        self.leaf_hash.is_none() && self.remains.is_none()
    }

    fn agrees(&self, recorded: &RecordedEvent) -> bool {
        self.leaf_hash.as_ref().is_none_or(|hash| *hash == recorded.leaf_hash)
            && self.remains.as_ref().is_none_or(|remains| *remains == Remains::of(recorded))
    }
}

/// Looks at all files of an org, at those in `directory` if one is given. The first fault found; none if files
/// and ledger agree. `progress` is called with the number of events looked at since the last call.
pub(crate) async fn faults(
    conn: &mut PgConnection,
    files: &[ArchiveFile],
    directory: Option<&super::store::Directory>,
    mut progress: impl FnMut(u64),
) -> Result<Option<Verdict>, ReadError> {
    let mut tree = Frontier::default();
    for file in files {
        if tree.size() + 1 != file.first.get() as u64 {
            return Ok(Some(Verdict::Missing(Seq::new(tree.size() as i64).next())));
        }
        let mut file = file.clone();
        if let Some(directory) = directory {
            file.location = directory.file(file.org_id, file.first, file.last);
        }
        let found = fault(conn, &file, &mut tree, &mut progress).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Looks at one file. `tree` is that of all events before it, and of all in it afterwards.
pub(crate) async fn fault(
    conn: &mut PgConnection,
    file: &ArchiveFile,
    tree: &mut Frontier,
    mut progress: impl FnMut(u64),
) -> Result<Option<Verdict>, ReadError> {
    let in_archive = |seq: Seq, error: FileError| Ok(Some(Verdict::Archive { seq, fault: with_cause(&error) }));
    let reader = match Reader::open(file).await {
        Ok(reader) => reader,
        Err(error) => return in_archive(file.first, error),
    };
    for (index, group) in reader.groups.iter().enumerate() {
        let events = match reader.read(index).await {
            Ok(events) => events,
            Err(error @ FileError::Damaged { seq, .. }) => return in_archive(seq, error),
            Err(error) => return in_archive(group.first, error),
        };
        let known = known(conn, file.org_id, group.first, group.last).await?;
        for recorded in &events {
            match known.get(&recorded.seq) {
                Some(known) if known.agrees(recorded) && !known.is_missing() => tree.push(recorded.leaf_hash),
                Some(known) if !known.is_missing() => return Ok(Some(Verdict::Changed(recorded.seq))),
                _ => return Ok(Some(Verdict::Missing(recorded.seq))),
            }
        }
        progress(events.len() as u64);
    }
    if tree.is(&file.frontier, &file.root) {
        return Ok(None);
    }
    let fault = format!("the tree over the events in {} is not the one that was recorded", file.location);
    Ok(Some(Verdict::Archive { seq: file.last, fault }))
}

async fn known(
    conn: &mut PgConnection,
    org_id: OrgId,
    first: Seq,
    last: Seq,
) -> Result<BTreeMap<Seq, Known>, sqlx::Error> {
    let mut known: BTreeMap<Seq, Known> = BTreeMap::new();
    let rows = sqlx::query!(
        r#"SELECT seq AS "seq: Seq", leaf_hash FROM ledger.event WHERE org_id = $1 AND seq BETWEEN $2 AND $3"#,
        org_id as OrgId,
        first as Seq,
        last as Seq
    );
    // The table first: what is dropped meanwhile stays before it goes.
    for row in rows.fetch_all(&mut *conn).await? {
        known.entry(row.seq).or_default().leaf_hash = Some(row.leaf_hash);
    }
    let mut rows = remains::remains(conn, org_id, first, last);
    while let Some(remains) = rows.try_next().await? {
        let seq = remains.seq;
        known.entry(seq).or_default().remains = Some(remains);
    }
    drop(rows);
    Ok(known)
}

/// An error and its causes, on one line.
fn with_cause(error: &FileError) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

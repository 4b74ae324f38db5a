//! A file against the ledger: every event in it is read, its leaf hash is computed anew and compared with the
//! one that the ledger has, and so is the tree. Called after a file was written, by `verify --archive` and
//! before events are dropped.

use std::collections::BTreeMap;

use events::{
    RecordedEvent,
    id::{EventId, OrgId, Seq, SubjectId},
};
use sqlx::PgConnection;

use super::{ArchiveFile, FileError, file::Reader};
use crate::{content::content_hash, merkle::Frontier, read::ReadError, verify::Verdict};

/// What the ledger has of an event, in the table or in what stayed of it when it was dropped.
struct Kept {
    leaf_hash: Vec<u8>,
    /// Of what stayed.
    stayed: Option<(EventId, SubjectId, Vec<u8>)>,
}

impl Kept {
    fn agrees(&self, recorded: &RecordedEvent) -> bool {
        let event = &recorded.event;
        self.leaf_hash == recorded.leaf_hash
            && self.stayed.as_ref().is_none_or(|(event_id, subject_id, hash)| {
                *event_id == event.event_id && *subject_id == event.subject_id && *hash == content_hash(event)
            })
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
        let kept = kept(conn, file.org_id, group.first, group.last).await?;
        for recorded in &events {
            match kept.get(&recorded.seq).map(Vec::as_slice) {
                None | Some([]) => return Ok(Some(Verdict::Missing(recorded.seq))),
                Some(kept) if !kept.iter().all(|kept| kept.agrees(recorded)) => {
                    return Ok(Some(Verdict::Changed(recorded.seq)));
                }
                Some(_) => tree.push(recorded.leaf_hash),
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

async fn kept(
    conn: &mut PgConnection,
    org_id: OrgId,
    first: Seq,
    last: Seq,
) -> Result<BTreeMap<Seq, Vec<Kept>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT seq AS "seq!: Seq", leaf_hash AS "leaf_hash!", event_id AS "event_id?: EventId",
                  subject_id AS "subject_id?: SubjectId", content_hash AS "content_hash?"
           FROM ledger.archived_event WHERE org_id = $1 AND seq BETWEEN $2 AND $3
           UNION ALL
           SELECT seq, leaf_hash, NULL, NULL, NULL FROM ledger.event WHERE org_id = $1 AND seq BETWEEN $2 AND $3"#,
        org_id as OrgId,
        first as Seq,
        last as Seq
    );
    let mut kept: BTreeMap<Seq, Vec<Kept>> = BTreeMap::new();
    for row in rows.fetch_all(conn).await? {
        let ids = row.event_id.zip(row.subject_id).zip(row.content_hash);
        let stayed = ids.map(|((event_id, subject_id), content_hash)| (event_id, subject_id, content_hash));
        kept.entry(row.seq).or_default().push(Kept { leaf_hash: row.leaf_hash, stayed });
    }
    Ok(kept)
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

//! Writes an org's longest prefix of events recorded before a time, behind what is archived already, and lets
//! the ledger know of the file once it was read back and found to agree. Called by `runledger archive`.

use chrono::{DateTime, Utc};
use events::{
    RecordedEvent,
    id::{OrgId, Seq},
};
use parquet::errors::ParquetError;
use sqlx::PgConnection;

use super::{
    ArchiveError, ArchiveFile,
    file::{GROUP, Writer},
    proof,
    store::{Directory, Stored, Upload},
};
use crate::{
    merkle::{self, Frontier},
    read,
    verify::Verdict,
};

/// What was archived.
#[derive(Clone, Debug)]
pub struct Archived {
    /// The file, as the ledger now knows it.
    pub file: ArchiveFile,
    /// The bytes of the events that are in it: the payloads, the texts and 112 bytes of each for the rest.
    pub event_bytes: u64,
    /// Whether the file stood there already, and holds exactly these events.
    pub reused: bool,
}

/// Archives one org; none when it has no event before that time that is not archived. `reading` reads across
/// orgs, `owner` owns the tables. `progress` is called with the number of events written since the last call.
///
/// # Errors
/// Then nothing is recorded, and the next attempt begins anew.
pub async fn archive(
    reading: &mut PgConnection,
    owner: &mut PgConnection,
    org_id: OrgId,
    before: DateTime<Utc>,
    to: &Directory,
    progress: impl FnMut(u64),
) -> Result<Option<Archived>, ArchiveError> {
    lock(owner, org_id).await?;
    let archived = archive_locked(reading, owner, org_id, before, to, progress).await;
    unlock(owner, org_id).await?;
    archived
}

/// Only one process archives an org or drops its events. Held by the connection.
pub(super) async fn lock(owner: &mut PgConnection, org_id: OrgId) -> Result<(), ArchiveError> {
    let locked = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended('archive ' || $1::uuid, 0)) AS "locked!""#,
        org_id as OrgId
    );
    if locked.fetch_one(owner).await? { Ok(()) } else { Err(ArchiveError::Busy(org_id)) }
}

pub(super) async fn unlock(owner: &mut PgConnection, org_id: OrgId) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("SELECT pg_advisory_unlock(hashtextextended('archive ' || $1::uuid, 0))", org_id as OrgId)
        .fetch_one(owner)
        .await?;
    Ok(())
}

async fn archive_locked(
    reading: &mut PgConnection,
    owner: &mut PgConnection,
    org_id: OrgId,
    before: DateTime<Utc>,
    to: &Directory,
    progress: impl FnMut(u64),
) -> Result<Option<Archived>, ArchiveError> {
    let head = read::head(reading, org_id).await?.ok_or(ArchiveError::UnknownOrg(org_id))?;
    let mut after = Seq::ZERO;
    let mut tree = Frontier::default();
    if let Some(last) = super::files(reading, org_id).await?.pop() {
        after = last.last;
        tree = Frontier::restore(after.get() as u64, &last.frontier).map_err(|damage| ArchiveError::Frontier {
            org_id,
            last: after,
            damage,
        })?;
    }
    let last = last_before(reading, org_id, after, head, before).await?;
    if last == after {
        return Ok(None);
    }
    let first = after.next();
    let stored = Stored::new(&to.file(org_id, first, last))?;
    let before_it = tree.clone();
    // One that stands there may be of an attempt that was killed before it recorded it, or another ledger's.
    let unfinished = if stored.size().await?.is_none() { Some(stored.unfinished()?) } else { None };
    let event_bytes = match &unfinished {
        Some(unfinished) => write(reading, unfinished, org_id, last, &mut tree, progress).await?,
        None => write_events(reading, None, org_id, last, &mut tree, progress).await?,
    };
    let mut file = ArchiveFile {
        org_id,
        first,
        last,
        location: stored.location().to_owned(),
        bytes: 0,
        frontier: tree.roots().iter().map(|root| root.to_vec()).collect(),
        root: tree.root().to_vec(),
        archived_at: crate::now(),
        dropped_at: None,
        remains_hash: None,
    };
    let reused = match &unfinished {
        Some(unfinished) => !name(reading, unfinished, &stored, &file, &before_it).await?,
        None => true,
    };
    if reused && let Some(verdict) = proof::fault(reading, &file, &mut before_it.clone(), |_| ()).await? {
        return Err(ArchiveError::Taken { location: file.location, fault: in_words(&verdict) });
    }
    file.bytes = stored.size().await?.unwrap_or_default() as i64;
    record(owner, &file).await?;
    Ok(Some(Archived { file, event_bytes, reused }))
}

/// Gives what was written its name once it was read back and agrees; false if a file of that name stands there by now.
async fn name(
    conn: &mut PgConnection,
    unfinished: &Stored,
    stored: &Stored,
    file: &ArchiveFile,
    before_it: &Frontier,
) -> Result<bool, ArchiveError> {
    let written = ArchiveFile { location: unfinished.location().to_owned(), ..file.clone() };
    let named = match proof::fault(conn, &written, &mut before_it.clone(), |_| ()).await {
        Ok(None) => unfinished.copy_to(stored).await.map_err(Into::into),
        Ok(Some(verdict)) => Err(ArchiveError::Disproved { location: file.location.clone(), verdict }),
        Err(error) => Err(error.into()),
    };
    unfinished.remove().await;
    named
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Archive { fault, .. } => fault.clone(),
        Verdict::Changed(seq) => format!("its event at seq {seq} is another"),
        verdict => format!("{verdict:?}"),
    }
}

/// The last seq that was recorded before a time, at least `after`. Times of recording never decrease with seq.
async fn last_before(
    conn: &mut PgConnection,
    org_id: OrgId,
    after: Seq,
    head: Seq,
    before: DateTime<Utc>,
) -> Result<Seq, ArchiveError> {
    let (mut low, mut high) = (after.get(), head.get());
    while low < high {
        let middle = Seq::new(low + (high - low + 1) / 2);
        let is_before = sqlx::query_scalar!(
            r#"SELECT recorded_at < $3 AS "is_before!" FROM ledger.event WHERE org_id = $1 AND seq = $2"#,
            org_id as OrgId,
            middle as Seq,
            before
        );
        match is_before.fetch_optional(&mut *conn).await? {
            None => return Err(ArchiveError::Damaged { org_id, seq: middle }),
            Some(true) => low = middle.get(),
            Some(false) => high = middle.get() - 1,
        }
    }
    Ok(Seq::new(low))
}

/// Writes the events behind the tree to a file: how many bytes they are.
async fn write(
    conn: &mut PgConnection,
    to: &Stored,
    org_id: OrgId,
    last: Seq,
    tree: &mut Frontier,
    progress: impl FnMut(u64),
) -> Result<u64, ArchiveError> {
    let mut upload = to.write().await?;
    match write_events(conn, Some(&mut upload), org_id, last, tree, progress).await {
        Ok(event_bytes) => {
            upload.finish().await?;
            Ok(event_bytes)
        }
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

/// Writes the events behind the tree, if there is a file to write, and adds them to the tree. Each must be as it was
/// appended.
async fn write_events(
    conn: &mut PgConnection,
    upload: Option<&mut Upload>,
    org_id: OrgId,
    last: Seq,
    tree: &mut Frontier,
    mut progress: impl FnMut(u64),
) -> Result<u64, ArchiveError> {
    let first = Seq::new(tree.size() as i64).next();
    let mut file = match upload {
        Some(upload) => Some((Writer::new()?, upload)),
        None => None,
    };
    let mut event_bytes = 0;
    while (tree.size() as i64) < last.get() {
        let after = Seq::new(tree.size() as i64);
        let mut events = read::events_after(conn, org_id, after, &[], GROUP).await?.events;
        events.retain(|recorded| recorded.seq <= last);
        if events.is_empty() {
            return Err(ArchiveError::Damaged { org_id, seq: after.next() });
        }
        for recorded in &events {
            let expected = Seq::new(tree.size() as i64).next();
            let leaf_hash = merkle::leaf_hash(&recorded.event, recorded.seq, recorded.recorded_at);
            if recorded.seq != expected || leaf_hash != recorded.leaf_hash {
                return Err(ArchiveError::Damaged { org_id, seq: expected });
            }
            tree.push(leaf_hash);
            event_bytes += size(recorded);
        }
        let count = events.len() as u64;
        if let Some((writer, upload)) = file {
            let (writer, bytes) = encode(writer, events).await?;
            upload.put(bytes).await?;
            file = Some((writer, upload));
        }
        progress(count);
    }
    if let Some((writer, upload)) = file {
        upload.put(writer.finish(org_id, first, last, tree)?).await?;
    }
    Ok(event_bytes)
}

/// Compresses a row group where it keeps nothing else waiting.
async fn encode(mut writer: Writer, events: Vec<RecordedEvent>) -> Result<(Writer, Vec<u8>), ArchiveError> {
    let encode = move || writer.write(&events).map(|bytes| (writer, bytes));
    let encoded = tokio::task::spawn_blocking(encode).await;
    Ok(encoded.map_err(|panic| ParquetError::External(panic.into()))??)
}

fn size(recorded: &RecordedEvent) -> u64 {
    let event = &recorded.event;
    let texts = [&event.correlation_id, &event.causation_id, &event.traceparent, &event.extensions];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    (112 + texts + event.event_type.len() + event.source.len() + event.data.len()) as u64
}

async fn record(owner: &mut PgConnection, file: &ArchiveFile) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO ledger.archive (org_id, first_seq, last_seq, location, bytes, frontier, root, archived_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        file.org_id as OrgId,
        file.first as Seq,
        file.last as Seq,
        file.location,
        file.bytes,
        &file.frontier,
        &file.root,
        file.archived_at
    )
    .execute(owner)
    .await?;
    Ok(())
}

//! Archived events, for [`crate::read`]: a row group at a time in memory, each event the one that the ledger knows.

use std::collections::VecDeque;

use async_stream::try_stream;
use events::{
    RecordedEvent,
    id::{OrgId, Seq},
};
use futures::{Stream, StreamExt, TryStreamExt};
use sqlx::PgConnection;

use super::{ArchiveFile, FileError, Place, file::Reader};
use crate::read::ReadError;

/// So many events of several subjects are put into order at a time.
const SORTED_MAX: usize = 1_000;

/// The archived events from one seq up to another, in their order, a row group at a time. The connection is free
/// between two of them.
pub(crate) struct Groups {
    org_id: OrgId,
    /// The next one first.
    files: VecDeque<ArchiveFile>,
    /// The file that is being read, and its next row group.
    open: Option<(Reader, usize)>,
    next: Seq,
    through: Seq,
}

impl Groups {
    pub(crate) fn of(files: Vec<ArchiveFile>, org_id: OrgId, from: Seq, through: Seq) -> Self {
        let files = files.into_iter().filter(|file| file.first <= through && file.last >= from).collect();
        Self { org_id, files, open: None, next: from, through }
    }

    /// The events of the next row group; none at the end. They are all there and are those of the ledger, or it is an
    /// error.
    pub(crate) async fn next(&mut self, conn: &mut PgConnection) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        while self.next <= self.through {
            let Some((reader, index)) = &mut self.open else {
                let file = self.files.pop_front().ok_or(FileError::NotRecorded { seq: self.next })?;
                self.open = Some((Reader::open(&file).await?, 0));
                continue;
            };
            let Some(group) = reader.groups.get(*index) else {
                self.open = None;
                continue;
            };
            *index += 1;
            if group.last < self.next {
                continue;
            }
            is_there(self.next, group.first.max(self.next))?;
            let mut events = reader.read(*index - 1).await?;
            events.retain(|recorded| (self.next..=self.through).contains(&recorded.seq));
            let last = group.last.min(self.through);
            let kept = leaf_hashes(conn, self.org_id, self.next, last).await?;
            let disagrees = |(recorded, kept): (&RecordedEvent, Option<&(Seq, Vec<u8>)>)| {
                kept.is_none_or(|(seq, hash)| *seq != recorded.seq || *hash != recorded.leaf_hash)
            };
            if let Some(twice) = kept.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(reader.disagreement(twice[0].0).into());
            }
            let mut pairs = events.iter().enumerate().map(|(at, recorded)| (recorded, kept.get(at)));
            if let Some((recorded, _)) = pairs.find(|pair| disagrees(*pair)) {
                return Err(reader.disagreement(recorded.seq).into());
            }
            self.next = last.next();
            return Ok(Some(events));
        }
        Ok(None)
    }
}

/// What the ledger knows these events by: of those that were dropped, what was kept; of others, their rows. Where both
/// are there and are not the same, a seq comes twice.
async fn leaf_hashes(
    conn: &mut PgConnection,
    org_id: OrgId,
    first: Seq,
    last: Seq,
) -> Result<Vec<(Seq, Vec<u8>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT seq AS "seq!: Seq", leaf_hash AS "leaf_hash!"
           FROM ledger.archived_event WHERE org_id = $1 AND seq BETWEEN $2 AND $3
           UNION
           SELECT seq, leaf_hash FROM ledger.event WHERE org_id = $1 AND seq BETWEEN $2 AND $3
           ORDER BY 1"#,
        org_id as OrgId,
        first as Seq,
        last as Seq
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.seq, row.leaf_hash)).collect())
}

/// Whoever reads from the archive gets what he has asked for or an error, and never less.
fn is_there(expected: Seq, found: Seq) -> Result<(), FileError> {
    if found == expected { Ok(()) } else { Err(FileError::NotRecorded { seq: expected }) }
}

/// The archived events at these places, which are in the order of (subject, seq), in that order. Only the row
/// groups that hold one are read.
pub(crate) fn events_at(
    files: Vec<ArchiveFile>,
    places: Vec<Place>,
) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    try_stream! {
        let mut places = VecDeque::from(places);
        while !places.is_empty() {
            let (several, mut next) = next_places(&mut places);
            next.sort_unstable_by_key(|place| place.seq);
            let events = events_in_order(&files, &next);
            let mut events = std::pin::pin!(events);
            if several {
                let mut sorted: Vec<_> = events.try_collect().await?;
                sorted.sort_unstable_by_key(|recorded: &RecordedEvent| (recorded.event.subject_id, recorded.seq));
                for event in sorted {
                    yield event;
                }
            } else {
                while let Some(event) = events.next().await {
                    yield event?;
                }
            }
        }
    }
}

/// The places of the next subjects, all of them, that are few enough to be put into order in memory; or of one
/// subject, whose events are in order as they stand. And whether they are several subjects.
fn next_places(places: &mut VecDeque<Place>) -> (bool, Vec<Place>) {
    let (mut next, mut several) = (Vec::new(), false);
    while let Some(subject_id) = places.front().map(|place| place.subject_id) {
        let count = places.iter().take_while(|place| place.subject_id == subject_id).count();
        if !next.is_empty() && next.len() + count > SORTED_MAX {
            break;
        }
        several |= !next.is_empty();
        next.extend(places.drain(..count));
    }
    (several, next)
}

/// The events at places that are in the order of seq.
fn events_in_order(files: &[ArchiveFile], places: &[Place]) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    try_stream! {
        let mut expected = places.iter();
        for file in files {
            if within(places, file.first, file.last).is_empty() {
                continue;
            }
            let reader = Reader::open(file).await?;
            for (index, group) in reader.groups.iter().enumerate() {
                let wanted = within(places, group.first, group.last);
                if wanted.is_empty() {
                    continue;
                }
                for event in reader.read(index).await? {
                    if let Ok(at) = wanted.binary_search_by_key(&event.seq, |place| place.seq) {
                        is_there(expected.next().map_or(event.seq, |place| place.seq), event.seq)?;
                        if wanted[at].leaf_hash != event.leaf_hash {
                            Err(reader.disagreement(event.seq))?;
                        }
                        yield event;
                    }
                }
            }
        }
        if let Some(missing) = expected.next() {
            Err(FileError::NotRecorded { seq: missing.seq })?;
        }
    }
}

/// Those of the places, in the order of seq, that lie between these two.
fn within(places: &[Place], first: Seq, last: Seq) -> &[Place] {
    let from = places.partition_point(|place| place.seq < first);
    let to = places.partition_point(|place| place.seq <= last);
    &places[from..to]
}

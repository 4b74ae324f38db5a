//! Archived events as streams, for [`crate::read`]: a row group at a time in memory.

use std::collections::VecDeque;

use async_stream::try_stream;
use events::{
    RecordedEvent,
    id::{Seq, SubjectId},
};
use futures::{Stream, StreamExt, TryStreamExt};

use super::{ArchiveFile, FileError, file::Reader};

/// So many events of several subjects are put into order at a time.
const SORTED_MAX: usize = 1_000;

/// The archived events from `from` on up to `through`, in the order of their seq.
pub(crate) fn events_between(
    files: Vec<ArchiveFile>,
    from: Seq,
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    try_stream! {
        let mut expected = from;
        for file in files.iter().filter(|file| file.first <= through && file.last >= from) {
            let reader = Reader::open(file).await?;
            for (index, group) in reader.groups.iter().enumerate() {
                if group.first > through || group.last < from {
                    continue;
                }
                for event in reader.read(index).await? {
                    if (from..=through).contains(&event.seq) {
                        is_there(expected, event.seq)?;
                        expected = event.seq.next();
                        yield event;
                    }
                }
            }
        }
        is_there(expected, through.next())?;
    }
}

/// Whoever reads from the archive gets what he has asked for or an error, and never less.
fn is_there(expected: Seq, found: Seq) -> Result<(), FileError> {
    if found == expected { Ok(()) } else { Err(FileError::NotRecorded { seq: expected }) }
}

/// The archived events at these places, which are in the order of (subject, seq), in that order. Only the row
/// groups that hold one are read.
pub(crate) fn events_at(
    files: Vec<ArchiveFile>,
    places: Vec<(SubjectId, Seq)>,
) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    try_stream! {
        let mut places = VecDeque::from(places);
        while !places.is_empty() {
            let (several, mut seqs) = next_seqs(&mut places);
            seqs.sort_unstable();
            let events = events_at_seqs(&files, &seqs);
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

/// The seqs of the next subjects, all of them, that are few enough to be put into order in memory; or of one
/// subject, whose events are in order as they stand. And whether they are several subjects.
fn next_seqs(places: &mut VecDeque<(SubjectId, Seq)>) -> (bool, Vec<Seq>) {
    let (mut seqs, mut several) = (Vec::new(), false);
    while let Some((subject_id, _)) = places.front().copied() {
        let count = places.iter().take_while(|(subject, _)| *subject == subject_id).count();
        if !seqs.is_empty() && seqs.len() + count > SORTED_MAX {
            break;
        }
        several |= !seqs.is_empty();
        seqs.extend(places.drain(..count).map(|(_, seq)| seq));
    }
    (several, seqs)
}

fn events_at_seqs(files: &[ArchiveFile], seqs: &[Seq]) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    try_stream! {
        let mut expected = seqs.iter();
        for file in files {
            if within(seqs, file.first, file.last).is_empty() {
                continue;
            }
            let reader = Reader::open(file).await?;
            for (index, group) in reader.groups.iter().enumerate() {
                let wanted = within(seqs, group.first, group.last);
                if wanted.is_empty() {
                    continue;
                }
                for event in reader.read(index).await? {
                    if wanted.binary_search(&event.seq).is_ok() {
                        is_there(expected.next().copied().unwrap_or(event.seq), event.seq)?;
                        yield event;
                    }
                }
            }
        }
        if let Some(missing) = expected.next() {
            Err(FileError::NotRecorded { seq: *missing })?;
        }
    }
}

/// Those of the ascending seqs that lie between these two.
fn within(seqs: &[Seq], first: Seq, last: Seq) -> &[Seq] {
    let from = seqs.partition_point(|seq| *seq < first);
    let to = seqs.partition_point(|seq| *seq <= last);
    &seqs[from..to]
}

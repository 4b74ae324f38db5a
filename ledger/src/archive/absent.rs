//! In a program that was built without the archive: whatever is asked of it is an error that says so.

use events::{
    RecordedEvent,
    id::{Seq, SubjectId},
};
use futures::{Stream, stream};

use super::{ArchiveFile, FileError};

pub(crate) fn events_between(
    files: Vec<ArchiveFile>,
    from: Seq,
    _through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    not_built(files, Some(from))
}

pub(crate) fn events_at(
    files: Vec<ArchiveFile>,
    places: Vec<(SubjectId, Seq)>,
) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    not_built(files, places.into_iter().map(|(_, seq)| seq).next())
}

fn not_built(files: Vec<ArchiveFile>, wanted: Option<Seq>) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    let file = wanted.and_then(|seq| files.into_iter().find(|file| seq <= file.last));
    let error = file.map(|ArchiveFile { org_id, last, location, .. }| FileError::NotBuilt { org_id, last, location });
    stream::iter(error.map(Err))
}

//! In a program that was built without the archive: whatever is asked of it is an error that says so.

use events::{
    RecordedEvent,
    id::{OrgId, Seq},
};
use futures::{Stream, stream};
use sqlx::PgConnection;

use super::{ArchiveFile, FileError, Place};
use crate::read::ReadError;

/// Archived events, of which none can be read.
pub(crate) struct Groups {
    files: Vec<ArchiveFile>,
    from: Seq,
    through: Seq,
}

impl Groups {
    pub(crate) fn of(files: Vec<ArchiveFile>, _org_id: OrgId, from: Seq, through: Seq) -> Self {
        Self { files, from, through }
    }

    pub(crate) async fn next(&mut self, _conn: &mut PgConnection) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        let wanted = (self.from <= self.through).then_some(self.from);
        not_built(&self.files, wanted).map_or(Ok(None), |error| Err(error.into()))
    }
}

pub(crate) fn events_at(
    files: Vec<ArchiveFile>,
    places: Vec<Place>,
) -> impl Stream<Item = Result<RecordedEvent, FileError>> {
    stream::iter(not_built(&files, places.first().map(|place| place.seq)).map(Err))
}

fn not_built(files: &[ArchiveFile], wanted: Option<Seq>) -> Option<FileError> {
    let file = wanted.and_then(|seq| files.iter().find(|file| seq <= file.last)).cloned();
    file.map(|ArchiveFile { org_id, last, location, .. }| FileError::NotBuilt { org_id, last, location })
}

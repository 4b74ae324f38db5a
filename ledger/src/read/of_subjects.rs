//! The events of some subjects, from the archive and from the table, in one order.

use std::collections::HashSet;

use async_stream::try_stream;
use events::{
    RecordedEvent,
    id::{OrgId, Seq, SubjectId},
};
use futures::{Stream, StreamExt, stream::BoxStream};
use sqlx::PgConnection;

use super::{ReadError, is_of, rows_of_subjects};
use crate::archive::{self, FileError};

/// The events of some subjects, of the given families only (all when there are none), up to `through`, ordered by (subject, seq), as a stream.
pub fn events_of_subjects<'c>(
    conn: &'c mut PgConnection,
    org_id: OrgId,
    subjects: &'c [SubjectId],
    families: &'c [&str],
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, ReadError>> + 'c {
    try_stream! {
        loop {
            let archived = archive::through(conn, org_id).await?;
            let mut old = archived_events(conn, org_id, subjects, archived.min(through)).await?;
            let mut rows = rows_of_subjects(conn, org_id, subjects, families, archived, through);
            let mut young = rows.next().await.transpose()?;
            let archived_now = match &young {
                Some(row) => row.archived_through,
                None => {
                    rows = futures::stream::empty().boxed();
                    archive::through(conn, org_id).await?
                }
            };
            if archived_now > archived {
                continue;
            }
            while let Some(recorded) = old.next().await {
                let recorded = recorded?;
                // What is archived of a subject comes before what is not.
                while let Some(row) = young.take_if(|row| row.subject_id < recorded.event.subject_id) {
                    yield row.into_event(org_id)?;
                    young = rows.next().await.transpose()?;
                }
                if is_of(&recorded, families) {
                    yield recorded;
                }
            }
            while let Some(row) = young {
                yield row.into_event(org_id)?;
                young = rows.next().await.transpose()?;
            }
            return;
        }
    }
}

/// Which of these subjects have events up to `through`, wherever they stand.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn subjects_begun(
    conn: &mut PgConnection,
    org_id: OrgId,
    subjects: &[SubjectId],
    through: Seq,
) -> Result<HashSet<SubjectId>, sqlx::Error> {
    let begun = sqlx::query_file_scalar!(
        "src/read/of_subjects/begun.sql",
        org_id as OrgId,
        subjects as &[SubjectId],
        through as Seq
    );
    Ok(begun.fetch_all(conn).await?.into_iter().collect())
}

/// The archived events of some subjects up to `through`, ordered by (subject, seq).
async fn archived_events(
    conn: &mut PgConnection,
    org_id: OrgId,
    subjects: &[SubjectId],
    through: Seq,
) -> Result<BoxStream<'static, Result<RecordedEvent, FileError>>, ReadError> {
    if through > Seq::ZERO {
        let places = archive::places_of(conn, org_id, subjects, through).await?;
        if !places.is_empty() {
            return Ok(archive::events_at(archive::files(conn, org_id).await?, places).boxed());
        }
    }
    Ok(futures::stream::empty().boxed())
}

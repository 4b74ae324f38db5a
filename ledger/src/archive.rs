//! The archive: an org's oldest events as Parquet files, in a directory or an object store.
//!
//! Invariant: an org's files follow each other without a gap from seq 1 on, each holds exactly the events
//! that it names, and `ledger.archive` has a row of it only after it was read back and compared with the
//! ledger. Events are dropped from `ledger.event` only after archive and table were proved against the
//! head's root; from then on [`crate::read`] takes them from the files.
//!
//! | module | holds |
//! |---|---|
//! | `store` | where files are: directories and object stores |
//! | `file` | the format |
//! | `write` | `runledger archive` |
//! | `proof` | a file against the ledger |
//! | `drop` | `runledger archive --drop` |
//! | `remains` | what stays in the database of a dropped event |
//! | `source` | archived events, for [`crate::read`] |
//!
//! Without the feature `archive` only the list of files is here, and whoever needs one is told so.

#[cfg(not(feature = "archive"))]
mod absent;
#[cfg(feature = "archive")]
pub mod drop;
#[cfg(feature = "archive")]
mod error;
#[cfg(feature = "archive")]
pub mod file;
#[cfg(feature = "archive")]
pub mod proof;
pub(crate) mod remains;
#[cfg(feature = "archive")]
mod source;
#[cfg(feature = "archive")]
pub mod store;
#[cfg(feature = "archive")]
pub mod write;

use async_stream::try_stream;
use chrono::{DateTime, Utc};
use events::{
    RecordedEvent,
    id::{OrgId, Seq, SubjectId},
};
use futures::Stream;
use sqlx::PgConnection;

#[cfg(not(feature = "archive"))]
pub(crate) use absent::{Groups, events_at};
#[cfg(feature = "archive")]
pub use error::ArchiveError;
#[cfg(feature = "archive")]
pub(crate) use source::{Groups, events_at};

use crate::read::ReadError;

/// Trouble with an archive file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, not reachable, or no Parquet file.
    #[error("the archive file {location} cannot be used")]
    Unreadable {
        /// Its URL.
        location: String,
        /// Why.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is a file of another org, of other seqs or of another format.
    #[error("the archive file {location} is not the one that was written there: {difference}")]
    Other {
        /// Its URL.
        location: String,
        /// What it is instead.
        difference: String,
    },
    /// What it holds does not agree with its leaf hash.
    #[error(
        "the archive file {location} is damaged at seq {seq}: run `runledger verify --archive`, and bring the file back from a copy"
    )]
    Damaged {
        /// Its URL.
        location: String,
        /// The lowest seq that is not as it was archived.
        seq: Seq,
    },
    /// It holds another event than the ledger knows, which agrees with its own leaf hash.
    #[error(
        "the event at seq {seq} in the archive file {location} is not the one that the ledger knows by its leaf hash: run `runledger verify --archive`, and bring the file back from a copy"
    )]
    Disagrees {
        /// Its URL.
        location: String,
        /// The lowest such seq.
        seq: Seq,
    },
    /// An event that was dropped from the table is in no file that is recorded.
    #[error(
        "the archived event at seq {seq} is in none of the files that ledger.archive records: run `runledger verify`, and bring the file's row back"
    )]
    NotRecorded {
        /// The lowest such seq.
        seq: Seq,
    },
    /// This program was built without the archive.
    #[error(
        "the events of org {org_id} up to seq {last} are archived at {location}, which this program cannot read: build runledger with `--features archive`"
    )]
    NotBuilt {
        /// Whose events.
        org_id: OrgId,
        /// The last of them.
        last: Seq,
        /// The file's URL.
        location: String,
    },
}

/// A file of an org's archive, as `ledger.archive` knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFile {
    /// Whose events.
    pub org_id: OrgId,
    /// The first seq in it.
    pub first: Seq,
    /// The last seq in it.
    pub last: Seq,
    /// Its URL.
    pub location: String,
    /// How large it is.
    pub bytes: i64,
    /// The roots of the perfect subtrees over all leaves up to `last`.
    pub frontier: Vec<Vec<u8>>,
    /// The root over them.
    pub root: Vec<u8>,
    /// When it was written and compared with the ledger.
    pub archived_at: DateTime<Utc>,
    /// When its events were dropped from the table; none while they stand there too.
    pub dropped_at: Option<DateTime<Utc>>,
    /// The hash over what was kept of its events when they were dropped; none if that was before it was kept.
    pub remains_hash: Option<Vec<u8>>,
}

/// Where an archived event stands, and what the ledger knows it by.
#[cfg_attr(not(feature = "archive"), expect(dead_code, reason = "nothing is read there"))]
pub(crate) struct Place {
    pub(crate) subject_id: SubjectId,
    pub(crate) seq: Seq,
    pub(crate) leaf_hash: Vec<u8>,
}

/// The files of an org, in the order of their seqs.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn files(conn: &mut PgConnection, org_id: OrgId) -> Result<Vec<ArchiveFile>, sqlx::Error> {
    sqlx::query_as!(
        ArchiveFile,
        r#"SELECT org_id AS "org_id: OrgId", first_seq AS "first: Seq", last_seq AS "last: Seq", location, bytes, frontier,
                  root, archived_at, dropped_at, remains_hash
           FROM ledger.archive WHERE org_id = $1 ORDER BY first_seq"#,
        org_id as OrgId
    )
    .fetch_all(conn)
    .await
}

/// Up to which seq an org's events stand in the archive alone; zero while the table has all of them.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn through(conn: &mut PgConnection, org_id: OrgId) -> Result<Seq, sqlx::Error> {
    let through = sqlx::query_scalar!(
        r#"SELECT max(last_seq) AS "seq: Seq" FROM ledger.archive WHERE org_id = $1 AND dropped_at IS NOT NULL"#,
        org_id as OrgId
    );
    Ok(through.fetch_one(conn).await?.unwrap_or(Seq::ZERO))
}

/// The archived events from `from` on up to `through`, in the order of their seq: all of them and those that the
/// ledger knows, or an error.
pub(crate) fn events_between(
    conn: &mut PgConnection,
    org_id: OrgId,
    from: Seq,
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, ReadError>> {
    try_stream! {
        let mut groups = Groups::of(files(conn, org_id).await?, org_id, from, through);
        while let Some(group) = groups.next(conn).await? {
            for recorded in group {
                yield recorded;
            }
        }
    }
}

/// Where the archived events of some subjects stand, up to `through`, in the order of (subject, seq).
pub(crate) async fn places_of(
    conn: &mut PgConnection,
    org_id: OrgId,
    subjects: &[SubjectId],
    through: Seq,
) -> Result<Vec<Place>, sqlx::Error> {
    sqlx::query_as!(
        Place,
        r#"SELECT subject_id AS "subject_id: SubjectId", seq AS "seq: Seq", leaf_hash FROM ledger.archived_event
           WHERE org_id = $1 AND subject_id = ANY($2) AND seq <= $3 ORDER BY subject_id, seq"#,
        org_id as OrgId,
        subjects as &[SubjectId],
        through as Seq
    )
    .fetch_all(conn)
    .await
}

//! Why nothing was archived or dropped.

use events::id::{OrgId, Seq};
use parquet::errors::ParquetError;

use super::FileError;
use crate::{merkle::MisshapenFrontier, read::ReadError, verify::Verdict};

/// Why nothing was archived or dropped.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while events were archived: {0}")]
    Database(#[from] sqlx::Error),
    /// Events could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Events could not be made into Parquet.
    #[error("events cannot be written as Parquet")]
    Encode(#[from] ParquetError),
    /// `ledger.archive` does not hold what was written to it.
    #[error("the archive of org {org_id} up to seq {last} is recorded with a damaged tree: {damage}")]
    Frontier {
        /// Whose archive.
        org_id: OrgId,
        /// The last seq of the file.
        last: Seq,
        /// What is wrong with it.
        damage: MisshapenFrontier,
    },
    /// An archive of this org is at work.
    #[error("another process is archiving org {0} or dropping its events; wait until it is done")]
    Busy(OrgId),
    /// Nobody knows the org.
    #[error("org {0} is not registered; `runledger org list` shows which are")]
    UnknownOrg(OrgId),
    /// An event is missing or is not what was appended.
    #[error(
        "the event of org {org_id} at seq {seq} is missing or damaged: run `runledger verify --org {org_id}`; nothing was archived"
    )]
    Damaged {
        /// Whose event.
        org_id: OrgId,
        /// Which event.
        seq: Seq,
    },
    /// What is to be dropped could not be proved to be in the archive.
    #[error(
        "nothing of org {org_id} was dropped, because archive and table together are not what was appended: run `runledger verify --org {org_id} --archive`, which says where"
    )]
    NotProved {
        /// Whose events.
        org_id: OrgId,
        /// What was found.
        verdict: Verdict,
    },
    /// What the database keeps of the events is not what has to stay.
    #[error(
        "nothing of org {org_id} was dropped, because what the database keeps of the events from seq {first} to {last} is not what has to stay of them: run `runledger verify --org {org_id} --archive`, which says where"
    )]
    NotKept {
        /// Whose events.
        org_id: OrgId,
        /// The first of them.
        first: Seq,
        /// The last of them.
        last: Seq,
    },
    /// The table could not be locked for the moment that the swap takes.
    #[error(
        "nothing of org {0} was dropped, because something has been reading or writing events all the while; try again when no rebuild, backup or other long transaction is running"
    )]
    InUse(OrgId),
    /// A migration is at work.
    #[error(
        "nothing of org {0} was dropped, because `runledger migrate` is changing the event table or building its indexes; try again when it is done"
    )]
    Migrating(OrgId),
    /// The event table is one table.
    #[error("events can only be dropped where `ledger.event` is partitioned by org")]
    NotPartitioned,
    /// Something else stands where the file is to be.
    #[error(
        "{location} stands there already and does not hold exactly these events ({fault}); it was left as it is, and nothing was archived: does another ledger archive the same org there? Give each ledger a place of its own"
    )]
    Taken {
        /// The file.
        location: String,
        /// What is wrong with it.
        fault: String,
    },
    /// What was written is not what the ledger holds.
    #[error(
        "what was written for {location} does not agree with the ledger when it is read back; it was removed, and nothing was archived: run `runledger verify`, and try again"
    )]
    Disproved {
        /// The file.
        location: String,
        /// What was found.
        verdict: Verdict,
    },
}

//! The ledger: takes events from NATS JetStream, appends them to the immutable event table, reads
//! and verifies it.
//!
//! | module | holds |
//! |---|---|
//! | [`ingest`] | the service: leases partitions of the stream, reads them in order, commits batches |
//! | [`append`] | the one writer of events and heads |
//! | [`dead_letter`] | what could not be appended, and its second chance |
//! | [`read`], [`verify`] | the reading side, which projectors and commands use |
//! | [`recent`] | what was appended last, handed over to a projector of the same process |
//! | [`archive`] | old events as Parquet files, which stay readable and proved |
//! | [`correction`] | what imports brought and what was taken back |
//! | [`replay`], [`restore`] | events out of the ledger, checked, and back into an empty one |
//! | [`shared_org`] | the reference data that every deployment begins with |
//! | [`merkle`], [`content`] | leaf hashes, frontier, root; what makes two events the same |
//! | [`stream`], [`nats`] | the JetStream stream, connections to NATS |
//! | [`connection`], [`migrate`] | connections to PostgreSQL in a role; the schema |
//! | [`status`] | how far everything is |

pub mod append;
pub mod archive;
pub mod connection;
pub mod content;
pub mod correction;
pub mod dead_letter;
pub mod ingest;
pub mod merkle;
pub mod migrate;
pub mod nats;
pub mod read;
pub mod recent;
pub mod replay;
pub mod restore;
pub mod shared_org;
pub mod status;
pub mod stream;
pub mod verify;

/// The clock of the ledger, in whole microseconds as PostgreSQL keeps them.
pub fn now() -> chrono::DateTime<chrono::Utc> {
    use chrono::SubsecRound;
    chrono::Utc::now().trunc_subsecs(6)
}

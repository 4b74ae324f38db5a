//! The ledger: takes events from NATS JetStream, appends them to the immutable event table, reads
//! and verifies it.
//!
//! | module | holds |
//! |---|---|
//! | [`ingest`] | the service: leases partitions of the stream, reads them in order, commits batches |
//! | [`append`] | the one writer of events and heads |
//! | [`dead_letter`] | what could not be appended, and its second chance |
//! | [`read`], [`verify`] | the reading side, which projectors and commands use |
//! | [`merkle`] | leaf hashes, frontier, root |
//! | [`stream`], [`nats`] | the JetStream stream, connections to NATS |
//! | [`connection`], [`migrate`] | connections to PostgreSQL in a role; the schema |
//! | [`status`] | how far everything is |

pub mod append;
pub mod connection;
pub mod dead_letter;
pub mod ingest;
pub mod merkle;
pub mod migrate;
pub mod nats;
pub mod read;
pub mod status;
pub mod stream;
pub mod verify;

/// The clock of the ledger, in whole microseconds as PostgreSQL keeps them.
pub fn now() -> chrono::DateTime<chrono::Utc> {
    use chrono::SubsecRound;
    chrono::Utc::now().trunc_subsecs(6)
}

//! Publishing: as the documentation shows it, through the Rust emitter, and out of a service's own
//! transaction.

mod emitter;
mod from_documentation;
mod outbox;

//! The events of runledger: what they look like on the wire, what they carry, and how to emit them.
//!
//! This crate does no I/O, except for the `emitter` behind its feature. Everything else in the
//! workspace depends on it and it depends on nothing of ours.

pub mod catalogue;
#[cfg(feature = "emitter")]
pub mod emitter;
pub mod envelope;
pub mod id;
pub mod json;
pub mod payload;
pub mod refusal;
pub mod time;
pub mod upcast;
pub mod wire;

pub use catalogue::{EventData, Payload};
pub use envelope::{Event, RecordedEvent};
pub use refusal::{Code, Refusal};

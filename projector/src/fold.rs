//! What folds are made of: small values that keep the same answer whatever the order in which they
//! were told the facts.
//!
//! Each of them is a maximum, a minimum, a count or a set over the events that it was shown, so a
//! row that is made of them alone cannot depend on arrival order. None of them forgets an event id:
//! counting an event twice is prevented once, by the projection's state.

mod greatest;
mod keyed;
mod lifecycle;
mod list;
mod numbers;
pub mod object;
mod sources;
mod span;
mod stamp;

pub use greatest::{Greatest, Latest};
pub use keyed::Keyed;
pub(crate) use lifecycle::PLAUSIBLE_SINCE;
pub use lifecycle::{Lifecycle, Outcome, Status};
pub use list::{LIST_BYTES_MAX, LIST_ELEMENTS_MAX, List};
pub use numbers::Numbers;
pub use sources::Sources;
pub use span::Span;
pub use stamp::Stamp;

/// The flags of a row, sorted and each once.
pub type Flags = std::collections::BTreeSet<&'static str>;

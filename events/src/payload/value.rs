//! The values of payload fields: texts, objects and free JSON, each of which may be protected.
//!
//! A protected value stands in place of another: `{"$protected":{"v":1,"alg":…,"kid":…,"ct":…}}`,
//! ciphertext made by the emitter. It is carried on as it is and opened by nobody here. Objects and
//! free JSON keep the exact text of what they hold, so that no number is rounded on the way.

mod json;
#[cfg(feature = "schema")]
mod schema;
mod text;

pub use json::{Json, Object};
pub use text::{INDEXED_BYTES_MAX, IndexedText, Text, TextList, indexed_not_empty, not_empty, not_empty_if_any};

/// The one key of a protected value.
pub const PROTECTED: &str = "$protected";

//! Why an event is refused: a code for machines and a sentence for people.

use std::{fmt, str::FromStr};

macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $text:literal)+) => {
        /// The reason codes of refused events, as they stand in `ledger.dead_letter.code`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])+ $variant),+ }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant),+];

            /// The code as it is written, e.g. `malformed_json`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),+ }
            }
        }
    };
}

codes! {
    /// Not JSON: truncated, empty, trailing bytes, a byte-order mark.
    MalformedJson = "malformed_json"
    /// Bytes that are not UTF-8 in payload, subject or header.
    InvalidUtf8 = "invalid_utf8"
    /// A NUL character or a lone surrogate in a string: PostgreSQL cannot hold it.
    UnstorableText = "unstorable_text"
    /// A member that occurs twice in one object, or an attribute given twice.
    DuplicateKey = "duplicate_key"
    /// Nested deeper than 64 or more than 10,000 keys.
    TooComplex = "too_complex"
    /// A number beyond 64-bit integers, beyond its column or beyond 64-bit floats.
    NumberOutOfRange = "number_out_of_range"
    /// A missing or wrong attribute or field.
    InvalidEvent = "invalid_event"
    /// An embedding with a wrong number of dimensions, with what is no finite number, or all zeros.
    InvalidEmbedding = "invalid_embedding"
    /// A type that this version does not know and that is not `custom.`.
    UnknownType = "unknown_type"
    /// A schema version that this version does not know.
    UnknownVersion = "unknown_version"
    /// An id that is no UUID, or nil.
    InvalidId = "invalid_id"
    /// The org in the subject is malformed or is not the event's.
    OrgMismatch = "org_mismatch"
    /// The type in the subject is not the event's.
    TypeMismatch = "type_mismatch"
    /// What looks like a secret itself, in an event that may only name one. Its dead letter has no payload.
    SecretInPayload = "secret_in_payload"
    /// An org that is not registered (yet).
    UnknownOrg = "unknown_org"
    /// The id of an event that stands in the ledger with other content.
    Conflict = "conflict"
    /// A `time` that is missing or no time.
    InvalidTime = "invalid_time"
    /// A `time` more than 24 hours ahead of the ledger's clock.
    TimeInFuture = "time_in_future"
    /// PostgreSQL refused the data for a reason that was not foreseen.
    DatabaseRefused = "database_refused"
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that is no reason code.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no reason code")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// What stands against an event: it is kept as a dead letter with this code and reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct Refusal {
    /// For machines.
    pub code: Code,
    /// For people: what is wrong, with which part, and what to do.
    pub reason: String,
}

impl Refusal {
    /// A refusal with this code and sentence.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl Refusal {
    /// The refusal that a failure of serde stands for. serde lets only messages through, so whoever
    /// refuses a value with a code of its own hands serde a whole [`Refusal`], whose text is taken
    /// apart here; every other failure is a value of the wrong shape, `invalid_event`.
    pub(crate) fn of_serde(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&place).unwrap_or(&message);
        let coded = message.split_once(": ").and_then(|(code, reason)| Some((code.parse().ok()?, reason)));
        let (code, reason) = coded.unwrap_or((Code::InvalidEvent, message));
        Self::new(code, reason)
    }
}

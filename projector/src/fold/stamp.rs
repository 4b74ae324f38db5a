use chrono::{DateTime, SecondsFormat, Utc};
use events::id::EventId;

/// When an event happened; its id decides between events of the same time. This is what "later"
/// means to every fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The event's `time`.
    pub time: DateTime<Utc>,
    /// The event's id.
    pub event_id: EventId,
}

impl Stamp {
    /// The time as read models write it inside of JSON: RFC 3339, UTC, microseconds.
    pub fn rfc3339(&self) -> String {
        self.time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

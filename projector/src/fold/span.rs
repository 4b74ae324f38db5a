use chrono::{DateTime, Utc};

/// The earliest and the latest time of a row's events; empty as long as there are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span(Option<(DateTime<Utc>, DateTime<Utc>)>);

impl Span {
    /// Makes room for this time.
    pub fn include(&mut self, time: DateTime<Utc>) {
        self.0 = Some(match self.0 {
            None => (time, time),
            Some((earliest, latest)) => (earliest.min(time), latest.max(time)),
        });
    }

    /// The earliest and the latest time: a row's `created_at` and `updated_at`.
    pub fn bounds(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        self.0
    }
}

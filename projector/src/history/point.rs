use std::str::FromStr;

use chrono::{DateTime, Utc};
use events::{
    RecordedEvent,
    id::Seq,
    time::{self, InvalidTime},
};

/// A point on the ledger's two clocks: when things happened, and when they were recorded. Where both
/// are given, both hold; where none is, everything counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Only what had happened by then: `occurred_at` is this time or earlier.
    pub as_of: Option<DateTime<Utc>>,
    /// Only what the ledger knew by then.
    pub known_at: Option<KnownAt>,
}

/// A place in an org's ledger, by its clock or by number. To one that is yet to come everything counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownAt {
    /// Everything with this `recorded_at` or an earlier one.
    Time(DateTime<Utc>),
    /// Everything up to this seq.
    Seq(Seq),
}

/// Text that is neither a time nor a seq.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKnownAt {
    /// It is a number, but of no event.
    #[error("{0:?} is no seq: the events of an org are numbered from 1 on, in 64 bits")]
    Seq(String),
    /// It is no number, and no time either.
    #[error("{0}, or a seq such as 1234")]
    Time(#[from] InvalidTime),
}

impl Point {
    /// Everything that is known now.
    pub const NOW: Self = Self { as_of: None, known_at: None };

    /// Whether the event counts.
    pub fn includes(&self, recorded: &RecordedEvent) -> bool {
        let happened = self.as_of.is_none_or(|as_of| recorded.event.occurred_at <= as_of);
        let known = match self.known_at {
            None => true,
            Some(KnownAt::Time(time)) => recorded.recorded_at <= time,
            Some(KnownAt::Seq(seq)) => recorded.seq <= seq,
        };
        happened && known
    }

    /// No event behind this seq counts.
    pub(super) fn through(&self) -> Seq {
        match self.known_at {
            Some(KnownAt::Seq(seq)) => seq,
            Some(KnownAt::Time(_)) | None => Seq::new(i64::MAX),
        }
    }
}

impl FromStr for KnownAt {
    type Err = InvalidKnownAt;

    fn from_str(text: &str) -> Result<Self, InvalidKnownAt> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map_err(|_| InvalidKnownAt::Seq(text.chars().take(64).collect()))?;
            return Ok(Self::Seq(Seq::new(number)));
        }
        Ok(Self::Time(time::parse(text)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{on, recorded};

    fn at(text: &str) -> DateTime<Utc> {
        time::parse(text).unwrap()
    }

    #[test]
    fn an_event_counts_if_both_clocks_say_so() {
        // Happened at 10:00, recorded at 12:00 with seq 1.
        let mut event = recorded([on("run.started", "10:00:00")]).remove(0);
        event.seq = Seq::new(7);
        event.recorded_at = at("2026-03-01T12:00:00Z");
        let (nine, ten, noon) = (at("2026-03-01T09:00:00Z"), at("2026-03-01T10:00:00Z"), at("2026-03-01T12:00:00Z"));
        let eleven = at("2026-03-01T11:00:00Z");
        for (as_of, known_at, expected) in [
            (None, None, true),
            (Some(ten), None, true),
            (Some(nine), None, false),
            (None, Some(KnownAt::Time(noon)), true),
            (None, Some(KnownAt::Time(eleven)), false),
            (None, Some(KnownAt::Seq(Seq::new(7))), true),
            (None, Some(KnownAt::Seq(Seq::new(6))), false),
            (Some(noon), Some(KnownAt::Time(eleven)), false),
            (Some(nine), Some(KnownAt::Time(noon)), false),
            (Some(ten), Some(KnownAt::Seq(Seq::new(8))), true),
        ] {
            assert_eq!(Point { as_of, known_at }.includes(&event), expected, "{as_of:?} {known_at:?}");
        }
    }

    #[test]
    fn a_number_is_a_seq_and_anything_else_has_to_be_a_time() {
        assert_eq!("12".parse(), Ok(KnownAt::Seq(Seq::new(12))));
        assert_eq!("2026-03-01T10:00:00Z".parse(), Ok(KnownAt::Time(at("2026-03-01T10:00:00Z"))));
        for text in ["", "-1", "2026-03-01", "yesterday", "99999999999999999999"] {
            let error = text.parse::<KnownAt>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("seq"), "{error}");
        }
    }
}

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use events::payload::value::Json;
use serde::Serialize;

use super::{Flags, Greatest, Span, Stamp};

/// Before this a service's clock was not set: 2000-01-01T00:00:00Z.
pub(crate) const PLAUSIBLE_SINCE: DateTime<Utc> = match DateTime::from_timestamp(946_684_800, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

/// The statuses of runs and steps. Each kind uses those that its event types lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Created, or about to be tried again.
    #[default]
    Pending,
    /// Started.
    Running,
    /// Ended well.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended by somebody's wish.
    Cancelled,
    /// Ended because it took too long.
    Timeout,
    /// Ended without having been done.
    Skipped,
}

impl Status {
    /// As it stands in the read models.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Skipped => "skipped",
        }
    }

    fn rank(self) -> Rank {
        match self {
            Self::Pending => Rank::Created,
            Self::Running => Rank::Started,
            _ => Rank::Terminal,
        }
    }
}

/// What beats the clocks: within an attempt, an event of a greater rank wins whatever its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Created,
    Started,
    Terminal,
}

/// What an event says about how a run or a step stands.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The status that it leads to.
    pub status: Status,
    /// Why, where it says so.
    pub error_message: Option<String>,
    /// More about the error.
    pub error_details: Option<Json>,
    /// What a completed step gave.
    pub output_data: Option<Json>,
}

/// The course of a run or a step: its status, its times and what is odd about them. A run is a
/// single attempt, 0.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    span: Span,
    winner: Greatest<(i32, Rank, Stamp), Outcome>,
    started_at: Option<DateTime<Utc>>,
    ended_attempts: BTreeSet<i32>,
    several_ends: bool,
}

impl Lifecycle {
    /// Notes that an event of the row happened at this time.
    pub fn include(&mut self, time: DateTime<Utc>) {
        self.span.include(time);
    }

    /// Notes what an event says about an attempt.
    pub fn record(&mut self, attempt: i32, stamp: Stamp, outcome: Outcome) {
        let rank = outcome.status.rank();
        match rank {
            Rank::Created => {}
            Rank::Started => self.started_at = Some(self.started_at.map_or(stamp.time, |start| start.min(stamp.time))),
            Rank::Terminal => self.several_ends |= !self.ended_attempts.insert(attempt),
        }
        self.winner.offer((attempt, rank, stamp), outcome);
    }

    /// What the winning event says; pending while no event has said anything.
    pub fn outcome(&self) -> Outcome {
        self.winner.get().cloned().unwrap_or_default()
    }

    /// The status that the winning event leads to; pending while no event has said anything.
    pub fn status(&self) -> Status {
        self.winner.get().map_or(Status::Pending, |outcome| outcome.status)
    }

    /// The earliest start.
    pub fn started_at(&self) -> Option<DateTime<Utc>> {
        self.started_at
    }

    /// The time of the winning event, if that is an end.
    pub fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.winner.key().filter(|(_, rank, _)| *rank == Rank::Terminal).map(|(_, _, stamp)| stamp.time)
    }

    /// Whole milliseconds from the earliest start to the end, unless the clocks contradict that order.
    pub fn duration_ms(&self) -> Option<i64> {
        let (start, end) = self.started_at.zip(self.ended_at())?;
        (end >= start).then(|| (end - start).num_milliseconds())
    }

    /// The times of the earliest and the latest of the row's events, if it has any.
    pub fn bounds(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        self.span.bounds()
    }

    /// What is odd about the course.
    pub fn flags(&self) -> Flags {
        let (start, end, bounds) = (self.started_at, self.ended_at(), self.bounds());
        let odd = [
            ("negative_duration", start.zip(end).is_some_and(|(start, end)| end < start)),
            ("no_start", !self.ended_attempts.is_empty() && start.is_none()),
            ("event_after_end", end.zip(bounds).is_some_and(|(end, (_, latest))| latest > end)),
            ("several_ends", self.several_ends),
            ("implausible_time", bounds.is_some_and(|(earliest, _)| earliest < PLAUSIBLE_SINCE)),
        ];
        odd.into_iter().filter_map(|(flag, is_so)| is_so.then_some(flag)).collect()
    }

    /// About how many bytes of memory this holds beside its own size.
    pub fn weight(&self) -> usize {
        let winner = self.winner.get().map_or(0, |outcome| {
            let json = [&outcome.error_details, &outcome.output_data].into_iter().flatten();
            outcome.error_message.as_ref().map_or(0, String::len) + json.map(|json| json.as_str().len()).sum::<usize>()
        });
        winner + self.ended_attempts.len() * 16
    }
}

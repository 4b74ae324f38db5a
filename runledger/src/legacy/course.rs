//! When a trace or a step was made, began and ended, by what its row says.

use chrono::{DateTime, Utc};

use super::{Reject, row::Row, status::Status};

pub const STARTED_WHEN_CREATED: &str = "it is running and has no start_time; when it was made stands in for it";
pub const PENDING_HAS_NO_START: &str = "what is pending has not started; its start_time is kept under legacy";
pub const ENDED_WHEN_LAST_HEARD_OF: &str =
    "it has ended and has no end_time; updated_at, or the latest time before it, stands in for it";
pub const OPEN_HAS_NO_END: &str = "what is pending or running has not ended; its end_time is kept under legacy";

/// The course that a row tells of.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    pub status: Status,
    /// What the row has.
    pub created_at: Option<DateTime<Utc>>,
    pub start_time: Option<DateTime<Utc>>,
    pub end_time: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    /// When it was made, for want of anything better by what else is known.
    pub created: DateTime<Utc>,
}

impl Course {
    /// The row's course; none if it has no time at all and there is none to stand in.
    pub fn of(
        row: &Row,
        status: Status,
        otherwise: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        rejects: &mut Vec<Reject>,
    ) -> Option<Self> {
        let [created_at, start_time, end_time, updated_at] =
            ["created_at", "start_time", "end_time", "updated_at"].map(|column| row.time(column, now, rejects));
        let created = created_at.or(start_time).or([updated_at, end_time].into_iter().flatten().min()).or(otherwise)?;
        Some(Self { status, created_at, start_time, end_time, updated_at, created })
    }

    /// When to say that it started, if that is to be said.
    pub fn started(&self) -> Option<DateTime<Utc>> {
        match self.status {
            Status::Pending => None,
            Status::Running => Some(self.start_time.unwrap_or(self.created)),
            _ => self.start_time,
        }
    }

    /// When to say that it ended, if that is to be said. A time that stands in for the end is not before the start.
    pub fn ended(&self) -> Option<DateTime<Utc>> {
        let last_heard_of = || self.last_heard_of();
        self.status.is_end().then(|| self.end_time.unwrap_or_else(last_heard_of))
    }

    /// When what its row says was so.
    pub fn as_of(&self) -> DateTime<Utc> {
        self.ended().unwrap_or_else(|| self.last_heard_of())
    }

    fn last_heard_of(&self) -> DateTime<Utc> {
        let latest = self.updated_at.or(self.start_time).unwrap_or(self.created);
        latest.max(self.created).max(self.start_time.unwrap_or(self.created))
    }

    /// The times that the row has and that no event says, by their columns.
    pub fn unsaid(&self) -> Vec<(&'static str, DateTime<Utc>)> {
        let start = self.start_time.filter(|_| self.started().is_none()).map(|time| ("start_time", time));
        let end = self.end_time.filter(|_| self.ended().is_none()).map(|time| ("end_time", time));
        [start, end].into_iter().flatten().collect()
    }

    /// Why the start that is said is not the row's, where it is not.
    pub fn start_reason(&self) -> &'static str {
        if self.status == Status::Pending { PENDING_HAS_NO_START } else { STARTED_WHEN_CREATED }
    }

    /// Why the end that is said is not the row's, where it is not.
    pub fn end_reason(&self) -> &'static str {
        if self.status.is_end() { ENDED_WHEN_LAST_HEARD_OF } else { OPEN_HAS_NO_END }
    }
}

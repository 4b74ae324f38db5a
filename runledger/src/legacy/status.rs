//! What the old statuses mean.

use std::{collections::HashMap, str::FromStr};

/// How a trace or a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
    Skipped,
}

/// The usual ones.
const USUAL: &[(&str, Status)] = &[
    ("pending", Status::Pending),
    ("queued", Status::Pending),
    ("running", Status::Running),
    ("in_progress", Status::Running),
    ("completed", Status::Completed),
    ("success", Status::Completed),
    ("succeeded", Status::Completed),
    ("failed", Status::Failed),
    ("error", Status::Failed),
    ("cancelled", Status::Cancelled),
    ("canceled", Status::Cancelled),
    ("timeout", Status::TimedOut),
    ("timed_out", Status::TimedOut),
    ("skipped", Status::Skipped),
];

impl Status {
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// What a run of this status is called in the read model.
    pub fn of_run(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            // Runs are not skipped: somebody stopped it before it began.
            Self::Cancelled | Self::Skipped => "cancelled",
            Self::TimedOut => "timeout",
        }
    }

    /// What a step of this status is called in the read model.
    pub fn of_step(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed | Self::TimedOut => "failed",
            Self::Cancelled | Self::Skipped => "skipped",
        }
    }

    /// The status itself, as `--status` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            other => other.of_run(),
        }
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [
            Self::Pending,
            Self::Running,
            Self::Completed,
            Self::Failed,
            Self::Cancelled,
            Self::TimedOut,
            Self::Skipped,
        ];
        let text = text.to_lowercase();
        all.into_iter().find(|status| status.name() == text).ok_or_else(|| {
            format!("{text:?} is no status; give pending, running, completed, failed, cancelled, timeout or skipped")
        })
    }
}

/// What `--status OLD=NEW` says.
pub fn parse_mapping(text: &str) -> Result<(String, Status), String> {
    let (old, new) = text.rsplit_once('=').ok_or("give OLD=NEW, e.g. aborted=cancelled")?;
    Ok((old.to_owned(), new.parse()?))
}

/// The statuses that are known, in letters of any case.
#[derive(Clone, Debug)]
pub struct Statuses(HashMap<String, Status>);

impl Statuses {
    /// The usual ones, and these before them.
    pub fn usual_and(given: impl IntoIterator<Item = (String, Status)>) -> Self {
        let usual = USUAL.iter().map(|(name, status)| ((*name).to_owned(), *status));
        Self(usual.chain(given.into_iter().map(|(name, status)| (normal(&name), status))).collect())
    }

    pub fn of(&self, text: &str) -> Option<Status> {
        self.0.get(&normal(text)).copied()
    }
}

fn normal(text: &str) -> String {
    text.trim().to_lowercase()
}

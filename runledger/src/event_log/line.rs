//! A line of a log: what happened in which case, when.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use events::payload::value::INDEXED_BYTES_MAX;

use super::{Row, columns::Columns, time};

/// What a line says beside case, activity and time has at most so many bytes as JSON: it has to fit
/// into one message.
const SAID_BYTES_MAX: usize = 900 * 1024;

/// What a line says of its step; XES calls it the lifecycle transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    Start,
    Complete,
    Abort,
    Skip,
    /// Neither a beginning nor an end, such as `suspend`.
    Note,
}

impl Transition {
    /// What the word stands for; a word that is not known is an end, as is no word at all.
    fn of(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "start" | "started" => Self::Start,
            "ate_abort" | "pi_abort" | "abort" | "aborted" | "failed" | "error" => Self::Abort,
            "withdraw" | "withdrawn" | "autoskip" | "manualskip" | "skip" | "skipped" => Self::Skip,
            "schedule" | "assign" | "reassign" | "suspend" | "resume" => Self::Note,
            _ => Self::Complete,
        }
    }
}

/// A usable line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    pub case: String,
    pub activity: String,
    pub time: DateTime<Utc>,
    pub transition: Transition,
    /// The word that says so, as it stands; empty if there is none.
    pub status: String,
    pub resource: Option<String>,
    /// Everything else that it says, without what is empty.
    pub attributes: BTreeMap<String, String>,
}

impl Line {
    /// The line that the row is, or why it is none.
    pub(super) fn of(
        row: &Row,
        columns: &Columns,
        time_format: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, String> {
        let mut attributes: BTreeMap<_, _> =
            row.fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        if attributes.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err("it holds a NUL character, which cannot be stored".to_owned());
        }
        let mut take = |name: &str| attributes.remove(name).filter(|value| !value.trim().is_empty());
        let case = take(&columns.case).ok_or_else(|| format!("it has no case id in column {:?}", columns.case))?;
        if case.len() > INDEXED_BYTES_MAX {
            return Err(format!("its case id has {} bytes, more than {INDEXED_BYTES_MAX}", case.len()));
        }
        let activity =
            take(&columns.activity).ok_or_else(|| format!("it has no activity in column {:?}", columns.activity))?;
        let time = take(&columns.time).ok_or_else(|| format!("it has no time in column {:?}", columns.time))?;
        let time = time::parse(&time, time_format)?;
        if time > now + TimeDelta::days(1) {
            return Err(format!("its time {} lies in the future", events::time::format(time)));
        }
        let status = columns.status.as_deref().and_then(&mut take).unwrap_or_default();
        let resource = columns.resource.as_deref().and_then(&mut take);
        let transition = Transition::of(&status);
        let line = Self { number: row.line, case, activity, time, transition, status, resource, attributes };
        match line.said().len() {
            length if length > SAID_BYTES_MAX => Err(format!("it says {length} bytes, more than {SAID_BYTES_MAX}")),
            _ => Ok(line),
        }
    }

    /// All that it says, as one text: two lines say the same when these are equal.
    pub fn said(&self) -> String {
        let Self { case, activity, time, status, resource, attributes, .. } = self;
        serde_json::json!([case, activity, time, status, resource, attributes]).to_string()
    }
}

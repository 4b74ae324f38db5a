//! Event logs of process mining, as CSV or XES: a case becomes a run, a line of it a step.
//!
//! A log is read twice. The first reading ([`EventLog::survey`]) changes nothing: it counts each
//! case's lines, puts lines that are no good aside, and finds a broken file before anything is
//! published. The second ([`EventLog::each_case`]) holds a case's lines until the last of them is
//! there, so that [`case`] sees the whole case in the order of time, whatever the order of lines.
//! Memory is bounded by the number of cases and by the lines of those cases that lie open: one case
//! in a log that is sorted by case, the cases that go on at one time in a log that is sorted by time.
//!
//! Both formats give the same rows of named fields; what XES says of a trace has names that start
//! with `case:`. Called by `import event-log`.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

mod case;
mod columns;
mod csv_rows;
mod line;
mod rejects;
mod source;
pub mod time;
mod xes_rows;

pub use case::{Ending, Endings, Run, Target};
pub use columns::ColumnNames;
pub use line::Line;
pub use rejects::Rejects;

use columns::Columns;
use source::{Format, Source};

/// A line, or an element of XES, has at most so many bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{0} is a directory; give the file in it")]
    Directory(PathBuf),
    #[error("{0} is empty; give a CSV or XES file with at least one line beside the header")]
    Empty(PathBuf),
    #[error("{path} cannot be opened")]
    Open { path: PathBuf, source: io::Error },
    #[error("{path}, line {line} column {column}: the gzip data ends early; the file is truncated, get it again")]
    Truncated { path: PathBuf, line: u64, column: u64 },
    #[error("{path} cannot be read beyond line {line} column {column}")]
    Read { path: PathBuf, line: u64, column: u64, source: io::Error },
    #[error("{path}, line 1 column {column}: the header is not UTF-8; convert the file to UTF-8")]
    HeaderNotUtf8 { path: PathBuf, column: usize },
    #[error("{path}, line 1: the header is longer than {LINE_BYTES_MAX} bytes; is this an event log?")]
    HeaderTooLong { path: PathBuf },
    #[error("{path}, line 1: there is no column {what}; the columns are {columns}; {advice}")]
    NoColumn { path: PathBuf, what: String, columns: String, advice: String },
    #[error("{path}, line {line} column {column}: {reason}; this is no well-formed XES")]
    Xml { path: PathBuf, line: u64, column: u64, reason: String },
    #[error("{path}: none of its {lines} lines can be used; the first, line {line}: {reason}")]
    Unusable { path: PathBuf, lines: u64, line: u64, reason: String },
    #[error("rejects file {path} cannot be written; choose another with --rejects")]
    Rejects { path: PathBuf, source: io::Error },
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Counted from 1; the first, where a record has several.
    pub line: u64,
    pub reason: String,
    /// The line as it stands in the file; of a line that is too long, its beginning.
    pub raw: Vec<u8>,
}

/// Named fields, as they stand in the file.
struct Row {
    line: u64,
    /// Those that are not empty.
    fields: Vec<(Arc<str>, String)>,
    raw: Vec<u8>,
}

/// The rows of a log, in either format.
enum Rows {
    Csv(csv_rows::CsvRows),
    Xes(xes_rows::XesRows),
}

impl Rows {
    fn next(&mut self) -> Result<Option<Result<Row, Reject>>, LogError> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Xes(rows) => rows.next(),
        }
    }
}

/// An event log in a file.
#[derive(Clone)]
pub struct EventLog {
    pub path: PathBuf,
    pub names: ColumnNames,
    pub delimiter: u8,
    /// A format of `strftime`; the usual ones if none is given.
    pub time_format: Option<String>,
    /// Lines that say a later time than the ledger takes are put aside.
    pub now: DateTime<Utc>,
    /// Told of every piece of the file that was read, in bytes.
    pub on_read: Arc<dyn Fn(u64) + Send + Sync>,
}

/// What the first reading found.
#[derive(Debug)]
pub struct Survey {
    /// How many lines each case has.
    pub cases: HashMap<String, u64>,
    pub lines: u64,
    pub rejected: u64,
    pub earliest: DateTime<Utc>,
    /// A digest of all usable lines in their order.
    pub digest: Uuid,
}

impl EventLog {
    /// Reads the log and counts; rejects are written down.
    pub fn survey(&self, rejects: &mut Rejects) -> Result<Survey, LogError> {
        let mut survey = Survey {
            cases: HashMap::new(),
            lines: 0,
            rejected: 0,
            earliest: DateTime::<Utc>::MAX_UTC,
            digest: Uuid::NAMESPACE_OID,
        };
        let mut first_reject = None;
        self.each_line(|line| match line {
            Ok(line) => {
                survey.lines += 1;
                survey.earliest = survey.earliest.min(line.time);
                survey.digest = Uuid::new_v5(&survey.digest, line.said().as_bytes());
                *survey.cases.entry(line.case).or_default() += 1;
                Ok(())
            }
            Err(reject) => {
                survey.rejected += 1;
                rejects.write(&reject)?;
                first_reject.get_or_insert(reject);
                Ok(())
            }
        })?;
        rejects.finish()?;
        match first_reject {
            _ if survey.lines > 0 => Ok(survey),
            Some(Reject { line, reason, .. }) => {
                Err(LogError::Unusable { path: self.path.clone(), lines: survey.rejected, line, reason })
            }
            None => Err(LogError::Empty(self.path.clone())),
        }
    }

    /// Reads the log again and hands on each case when its last line is read.
    pub fn each_case<E: From<LogError>>(
        &self,
        survey: &Survey,
        mut take: impl FnMut(String, Vec<Line>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut open: HashMap<String, Vec<Line>> = HashMap::new();
        self.each_line(|line| {
            let Ok(line) = line else { return Ok(()) };
            let case = line.case.clone();
            let lines = open.entry(case.clone()).or_default();
            lines.push(line);
            if survey.cases.get(&case) != Some(&(lines.len() as u64)) {
                return Ok(());
            }
            let lines = open.remove(&case).unwrap_or_default();
            take(case, lines)
        })
    }

    fn each_line<E: From<LogError>>(
        &self,
        mut take: impl FnMut(Result<Line, Reject>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (source, format) = Source::open(&self.path, Arc::clone(&self.on_read))?;
        let (mut rows, columns) = match format {
            Format::Csv => {
                let rows = csv_rows::CsvRows::begin(source, self.delimiter)?;
                let columns = Columns::of_header(&self.names, rows.header(), self)?;
                (Rows::Csv(rows), columns)
            }
            Format::Xes => (Rows::Xes(xes_rows::XesRows::begin(source)), Columns::of_xes(&self.names)),
        };
        while let Some(row) = rows.next()? {
            let line = row.and_then(|row| {
                Line::of(&row, &columns, self.time_format.as_deref(), self.now).map_err(|reason| Reject {
                    line: row.line,
                    reason,
                    raw: row.raw,
                })
            });
            take(line)?;
        }
        Ok(())
    }
}

/// What the log is called: the file's name without `.csv`, `.xes` and `.gz`.
pub fn name_of(path: &Path) -> String {
    let mut name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for ending in [".gz", ".csv", ".tsv", ".txt", ".xes", ".xml"] {
        if let Some(stem) = name.to_ascii_lowercase().strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            name.truncate(stem.len());
        }
    }
    name
}

#[cfg(test)]
mod tests;

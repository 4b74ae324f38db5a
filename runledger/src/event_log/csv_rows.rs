//! The rows of a CSV file (RFC 4180).
//!
//! Read by hand and not by a library, because a record must stay within bounds: one that is too long
//! is passed over without being held.

use std::{io::BufRead, sync::Arc};

use super::{LINE_BYTES_MAX, LogError, Reject, Row, source::Source};

/// Of a record that is too long, so much goes into the rejects file.
const EXCERPT_BYTES: usize = 1024;

pub struct CsvRows {
    records: Records,
    header: Vec<Arc<str>>,
}

impl CsvRows {
    /// Reads the header.
    pub fn begin(source: Source, delimiter: u8) -> Result<Self, LogError> {
        let path = source.path().to_owned();
        let mut records = Records::new(source, delimiter);
        match records.read()? {
            Some(Extent::Whole) => {}
            Some(Extent::TooLong) => return Err(LogError::HeaderTooLong { path }),
            None => return Err(LogError::Empty(path)),
        }
        if let Err(error) = std::str::from_utf8(&records.raw) {
            return Err(LogError::HeaderNotUtf8 { path, column: error.valid_up_to() + 1 });
        }
        let header = records.fields().map(|field| String::from_utf8_lossy(field).trim().into()).collect();
        Ok(Self { records, header })
    }

    pub fn header(&self) -> &[Arc<str>] {
        &self.header
    }

    pub fn next(&mut self) -> Result<Option<Result<Row, Reject>>, LogError> {
        loop {
            let Some(extent) = self.records.read()? else { return Ok(None) };
            if self.records.raw.is_empty() {
                continue;
            }
            let row = self.row(extent).map_err(|reason| {
                let mut raw = self.records.raw.clone();
                if extent == Extent::TooLong {
                    raw.truncate(EXCERPT_BYTES);
                }
                Reject { line: self.records.line, reason, raw }
            });
            return Ok(Some(row));
        }
    }

    fn row(&self, extent: Extent) -> Result<Row, String> {
        let Records { raw, line, .. } = &self.records;
        if extent == Extent::TooLong {
            return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
        }
        if let Err(error) = std::str::from_utf8(raw) {
            return Err(format!("column {}: not UTF-8", error.valid_up_to() + 1));
        }
        if self.records.quoting == Quoting::Inside {
            return Err("a quoted field has no closing quote".to_owned());
        }
        let (found, expected) = (self.records.fields().count(), self.header.len());
        if found != expected {
            return Err(format!("it has {found} fields, the header {expected}"));
        }
        let fields = self.header.iter().zip(self.records.fields());
        let fields = fields.filter(|(_, field)| !field.is_empty());
        let fields = fields.map(|(name, field)| (Arc::clone(name), String::from_utf8_lossy(field).into_owned()));
        Ok(Row { line: *line, fields: fields.collect(), raw: raw.clone() })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    TooLong,
}

/// Where in a field a byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    /// At its start: only here a quote opens.
    Start,
    /// Between quotes, where delimiters and line ends are text.
    Inside,
    /// Behind a quote within quotes: the closing one, or the first of a doubled one.
    Closed,
    Outside,
}

/// Takes records apart, one at a time.
struct Records {
    source: Source,
    delimiter: u8,
    /// The line that the record begins on.
    line: u64,
    /// The record as it stands, without its line end.
    raw: Vec<u8>,
    /// The text of all its fields, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    quoting: Quoting,
}

impl Records {
    fn new(source: Source, delimiter: u8) -> Self {
        let (raw, text, ends) = (Vec::new(), Vec::new(), Vec::new());
        Self { source, delimiter, line: 1, raw, text, ends, quoting: Quoting::Start }
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }

    /// Reads the next record; none at the end of the file.
    fn read(&mut self) -> Result<Option<Extent>, LogError> {
        self.raw.clear();
        self.text.clear();
        self.ends.clear();
        (self.line, self.quoting) = (self.source.line(), Quoting::Start);
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) => return Err(self.source.fault(error)),
            };
            let is_end_of_file = chunk.is_empty();
            let length = chunk.len().min(LINE_BYTES_MAX + 1 - self.raw.len());
            let (passed, is_end_of_line) = match self.quoting.end_of_line(&chunk[..length], self.delimiter) {
                Some(end) => (end, true),
                None => (length, false),
            };
            self.raw.extend_from_slice(&chunk[..passed]);
            self.take(self.raw.len() - passed);
            self.source.consume(passed + usize::from(is_end_of_line));
            if is_end_of_file || is_end_of_line {
                let is_nothing = is_end_of_file && self.raw.is_empty();
                self.end();
                return Ok((!is_nothing).then_some(Extent::Whole));
            }
            if self.raw.len() > LINE_BYTES_MAX {
                self.pass_over()?;
                return Ok(Some(Extent::TooLong));
            }
        }
    }

    /// Takes in what was read of the record from there on.
    fn take(&mut self, from: usize) {
        for &byte in &self.raw[from..] {
            let before = self.quoting;
            self.quoting = before.after(byte, self.delimiter);
            match (before, self.quoting) {
                (_, Quoting::Start) => self.ends.push(self.text.len()),
                (Quoting::Start, Quoting::Inside) | (_, Quoting::Closed) => {}
                _ => self.text.push(byte),
            }
        }
    }

    fn end(&mut self) {
        if self.raw.ends_with(b"\r") && self.quoting != Quoting::Inside {
            self.raw.pop();
            if self.text.ends_with(b"\r") {
                self.text.pop();
            }
        }
        self.ends.push(self.text.len());
    }

    /// Goes to the end of this line, whatever quotes say: a quote that is never closed ends here.
    fn pass_over(&mut self) -> Result<(), LogError> {
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) => return Err(self.source.fault(error)),
            };
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let (passed, is_end) = (end.map_or(chunk.len(), |end| end + 1), end.is_some() || chunk.is_empty());
            self.source.consume(passed);
            if is_end {
                return Ok(());
            }
        }
    }
}

impl Quoting {
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match self {
            Self::Inside if byte == b'"' => Self::Closed,
            Self::Inside => Self::Inside,
            _ if byte == delimiter => Self::Start,
            Self::Start | Self::Closed if byte == b'"' => Self::Inside,
            _ => Self::Outside,
        }
    }

    /// Where the first line end that is not within quotes stands.
    fn end_of_line(mut self, text: &[u8], delimiter: u8) -> Option<usize> {
        text.iter().position(|byte| {
            let is_end = *byte == b'\n' && self != Self::Inside;
            self = self.after(*byte, delimiter);
            is_end
        })
    }
}

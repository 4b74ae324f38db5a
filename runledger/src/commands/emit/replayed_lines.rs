//! The events of a replay, line by line, from files or standard input, compressed or not.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use events::{id::OrgId, wire::Replayed};
use flate2::bufread::MultiGzDecoder;

/// No event of the ledger fills a longer line, whatever its bytes become in JSON.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const BUFFER_BYTES: usize = 128 * 1024;
const GZIP: &[u8] = &[0x1F, 0x8B];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    file: PathBuf,
    /// Counted from 1; 0 is the file itself.
    line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (is_stdin(&self.file), self.line) {
            (true, line) => write!(f, "standard input line {line}"),
            (false, 0) => self.file.display().fmt(f),
            (false, line) => write!(f, "{} line {line}", self.file.display()),
        }
    }
}

/// A line that is no event, or a file that cannot be read on.
#[derive(Debug)]
pub struct Trouble {
    pub place: Place,
    pub reason: String,
}

/// All lines of several files, one after the other; empty lines are passed over.
pub struct ReplayedLines {
    /// Those not begun, the next one last.
    files: Vec<PathBuf>,
    open: Option<(Place, Box<dyn BufRead>)>,
    next: Option<(Place, Result<Replayed, String>)>,
}

impl ReplayedLines {
    /// Of these files; of standard input if there are none, or one is `-`.
    pub fn of(mut files: Vec<PathBuf>) -> Self {
        if files.is_empty() {
            files.push("-".into());
        }
        files.reverse();
        Self { files, open: None, next: None }
    }

    /// The org of the next event. None at the end.
    pub fn next_org(&mut self) -> Option<Result<OrgId, Trouble>> {
        match self.peek()? {
            (_, Ok(replayed)) => Some(Ok(replayed.event.org_id)),
            (_, Err(_)) => match self.next.take()? {
                (place, Err(reason)) => Some(Err(Trouble { place, reason })),
                (_, Ok(_)) => None,
            },
        }
    }

    /// Whether something other than an event comes next.
    pub fn is_troubled(&mut self) -> bool {
        matches!(self.peek(), Some((_, Err(_))))
    }

    /// The next event, if it is this org's; or what stands in its place.
    pub fn next_of(&mut self, org_id: OrgId) -> Option<(Place, Result<Replayed, String>)> {
        match self.peek()? {
            (_, Ok(replayed)) if replayed.event.org_id != org_id => None,
            _ => self.next.take(),
        }
    }

    /// Passes over the rest of an org.
    pub fn skip(&mut self, org_id: OrgId) {
        while self.next_of(org_id).is_some() {}
    }

    fn peek(&mut self) -> Option<&(Place, Result<Replayed, String>)> {
        if self.next.is_none() {
            self.next = self.read();
        }
        self.next.as_ref()
    }

    fn read(&mut self) -> Option<(Place, Result<Replayed, String>)> {
        loop {
            let (place, input) = match &mut self.open {
                Some(open) => open,
                none => {
                    let file = self.files.pop()?;
                    let place = Place { file, line: 0 };
                    match open(&place.file) {
                        Ok(input) => none.insert((place, input)),
                        Err(error) => return Some((place, Err(format!("it cannot be opened: {error}")))),
                    }
                }
            };
            place.line += 1;
            let place = place.clone();
            match read_line(input) {
                Ok(line) if line.is_empty() => self.open = None,
                Ok(line) if line.trim_ascii().is_empty() => {}
                Ok(line) => {
                    let replayed = Replayed::read(line.into()).map_err(|refusal| refusal.to_string());
                    return Some((place, replayed));
                }
                Err(error) => {
                    self.open = None;
                    return Some((place, Err(complaint(&error))));
                }
            }
        }
    }
}

fn complaint(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "the file is cut off here; what follows is lost".to_owned(),
        _ => format!("the file cannot be read on: {error}"),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let raw: Box<dyn Read> = match is_stdin(path) {
        true => Box::new(io::stdin()),
        false => {
            let file = File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            Box::new(file)
        }
    };
    let mut raw = BufReader::with_capacity(BUFFER_BYTES, raw);
    let start = raw.fill_buf()?;
    let text: Box<dyn Read> = if start.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(raw))
    } else if start.starts_with(ZSTD) {
        Box::new(zstd::Decoder::with_buffer(raw)?)
    } else {
        return Ok(Box::new(raw));
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, text)))
}

/// The next line with its end; empty at the end of the file.
fn read_line(input: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let length = input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if length as u64 == LINE_BYTES_MAX {
        return Err(io::Error::other(format!("the line has more than {LINE_BYTES_MAX} bytes, which no event has")));
    }
    Ok(line)
}

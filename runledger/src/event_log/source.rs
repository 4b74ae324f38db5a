//! The bytes of a log, unpacked, with the place that they are read at.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;

use super::{LINE_BYTES_MAX, LogError};

const BUFFER_BYTES: usize = 32 * 1024;
const GZIP: &[u8] = &[0x1F, 0x8B];
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a log is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Xes,
}

/// A log's text. Refuses to read on when a piece gets too long, if its reader begins pieces.
pub struct Source {
    path: PathBuf,
    text: Box<dyn BufRead + Send>,
    /// Both counted from 1, the column in bytes.
    line: u64,
    column: u64,
    /// Bytes that may still be read of the present piece.
    left: usize,
}

impl Source {
    /// Opens the file and finds out what it is; gzip is known by its first bytes.
    pub fn open(path: &Path, on_read: Arc<dyn Fn(u64) + Send + Sync>) -> Result<(Self, Format), LogError> {
        let failed = |source| LogError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(LogError::Directory(path.to_owned()));
        }
        let mut file = BufReader::with_capacity(BUFFER_BYTES, Counted { file, on_read });
        let is_gzip = file.fill_buf().map_err(failed)?.starts_with(GZIP);
        let text: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        let mut source = Self { path: path.to_owned(), text, line: 1, column: 1, left: usize::MAX };
        let format = source.look()?;
        Ok((source, format))
    }

    fn look(&mut self) -> Result<Format, LogError> {
        let start = match self.text.fill_buf() {
            Ok(start) => start,
            Err(error) => return Err(self.fault(error)),
        };
        let marked = start.starts_with(BYTE_ORDER_MARK);
        let text = if marked { &start[BYTE_ORDER_MARK.len()..] } else { start };
        let text = text.trim_ascii_start();
        if text.is_empty() {
            return Err(LogError::Empty(self.path.clone()));
        }
        let name = self.path.to_string_lossy().to_ascii_lowercase();
        let is_named = name.ends_with(".xes") || name.ends_with(".xes.gz");
        let is_xes = is_named || text.starts_with(b"<?xml") || text.starts_with(b"<log");
        if marked {
            self.text.consume(BYTE_ORDER_MARK.len());
        }
        Ok(if is_xes { Format::Xes } else { Format::Csv })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn line(&self) -> u64 {
        self.line
    }

    pub fn column(&self) -> u64 {
        self.column
    }

    /// From here on, at most [`LINE_BYTES_MAX`] are read before this is called again.
    pub fn next_piece(&mut self) {
        self.left = LINE_BYTES_MAX;
    }

    /// What a failure to read means, with the place.
    pub fn fault(&self, source: io::Error) -> LogError {
        let (path, line, column) = (self.path.clone(), self.line, self.column);
        match source.kind() {
            io::ErrorKind::UnexpectedEof => LogError::Truncated { path, line, column },
            _ => LogError::Read { path, line, column, source },
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(format!("more than {LINE_BYTES_MAX} bytes in one piece")));
        }
        let text = self.text.fill_buf()?;
        Ok(&text[..text.len().min(self.left)])
    }

    fn consume(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        // The buffer is full, so this reads nothing.
        if let Ok(text) = self.text.fill_buf() {
            let passed = &text[..count];
            self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
            match passed.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => self.column = (count - end) as u64,
                None => self.column += count as u64,
            }
        }
        self.left = self.left.saturating_sub(count);
        self.text.consume(count);
    }
}

/// A file that tells how much of it was read.
struct Counted {
    file: File,
    on_read: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        (self.on_read)(count as u64);
        Ok(count)
    }
}

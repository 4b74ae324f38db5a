//! A file of events that grows in whole pieces: at each position a compressed file ends a frame (zstd) or a
//! member (gzip), and what follows is another, which both formats allow.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{BufWriter, ErrorKind, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use flate2::{Compression, write::GzEncoder};

/// Health data: for the one who makes it.
const MODE: u32 = 0o600;

/// A file that events are appended to.
pub struct EventFile {
    path: PathBuf,
    packing: Packing,
    file: File,
    /// None before the first event of a piece.
    piece: Option<Piece>,
}

/// How a file is compressed, by its name.
#[derive(Clone, Copy)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

enum Piece {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl EventFile {
    /// The file, to go on behind its first so many bytes; whatever stands behind them was not finished.
    pub fn open(path: &Path, bytes: u64) -> anyhow::Result<Self> {
        let name = path.display();
        let mut options = OpenOptions::new();
        options.write(true).mode(MODE);
        let opened = if bytes == 0 { options.create(true) } else { &mut options }.open(path);
        let mut file = opened.with_context(|| format!("{name} cannot be opened to write to it"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another replay is writing to {name}; wait for it"),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{name} cannot be locked"));
            }
        }
        let length = file.metadata().with_context(|| format!("{name} cannot be looked at"))?.len();
        if length < bytes {
            bail!(
                "{name} has {length} bytes and its position says {bytes}: it is another file; remove both and begin anew"
            );
        }
        file.set_len(bytes)
            .and_then(|()| file.seek(SeekFrom::Start(bytes)))
            .with_context(|| format!("{name} cannot be cut to what is complete of it"))?;
        Ok(Self { path: path.to_owned(), packing: Packing::of(path), file, piece: None })
    }

    /// Appends a line.
    pub fn put(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let piece = match self.piece.take() {
            Some(piece) => piece,
            None => Piece::begin(self.packing, &self.file).with_context(|| self.failed())?,
        };
        self.piece.insert(piece).write_all(line).with_context(|| self.failed())
    }

    /// Ends the piece and returns when the disk has it: how long the file is now.
    pub fn settle(&mut self) -> anyhow::Result<u64> {
        let piece = self.piece.take();
        let settle = || {
            if let Some(piece) = piece {
                piece.end()?;
            }
            self.file.sync_data()?;
            self.file.stream_position()
        };
        settle().with_context(|| self.failed())
    }

    fn failed(&self) -> String {
        format!("{} cannot be written", self.path.display())
    }
}

impl Packing {
    fn of(path: &Path) -> Self {
        match path.extension().map(|extension| extension.to_ascii_lowercase()) {
            Some(extension) if extension == "gz" => Self::Gzip,
            Some(extension) if extension == "zst" => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl Piece {
    fn begin(packing: Packing, file: &File) -> std::io::Result<Self> {
        let file = BufWriter::with_capacity(128 * 1024, file.try_clone()?);
        Ok(match packing {
            Packing::None => Self::Plain(file),
            Packing::Gzip => Self::Gzip(GzEncoder::new(file, Compression::default())),
            Packing::Zstd => {
                let mut encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn end(self) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        }
        .flush()
    }
}

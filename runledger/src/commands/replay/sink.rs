//! Where a replay goes: a file, standard output or NATS.

use std::{
    fmt,
    io::{BufWriter, Stdout, Write},
    path::PathBuf,
    str::FromStr,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use events::wire::Replayed;

use super::{
    file::EventFile,
    stream::{EventsPrefix, InvalidPrefix, NatsSink},
};
use crate::{output::PrintError, settings::Settings};

/// What `--to` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    File(PathBuf),
    StandardOutput,
    Nats(EventsPrefix),
}

impl FromStr for Target {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        Ok(match text.strip_prefix("nats:") {
            Some(prefix) => Self::Nats(prefix.parse()?),
            None if text == "-" => Self::StandardOutput,
            None => Self::File(text.into()),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::StandardOutput => f.write_str("standard output"),
            Self::Nats(prefix) => write!(f, "nats:{prefix}"),
        }
    }
}

impl Target {
    /// The target as a position file names it, wherever the command is given.
    pub fn place(&self) -> anyhow::Result<String> {
        match self {
            Self::File(path) => Ok(std::path::absolute(path)
                .with_context(|| format!("there is no file {}", path.display()))?
                .display()
                .to_string()),
            target => Ok(target.to_string()),
        }
    }

    /// Where the position is written down if nobody says where.
    pub fn default_position(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let mut name = path.clone().into_os_string();
        name.push(".position");
        Some(name.into())
    }

    /// Refuses a file that is there: it may be another replay, complete.
    pub fn check_vacant(&self) -> anyhow::Result<()> {
        match self {
            Self::File(path) if path.exists() => {
                bail!(
                    "{} is there already and no replay to it is under way; name another file or remove it",
                    path.display()
                )
            }
            _ => Ok(()),
        }
    }

    /// Opens it, to go on behind the first so many bytes of a file.
    pub async fn open(&self, settings: &Settings, bytes: u64) -> anyhow::Result<Sink> {
        Ok(match self {
            Self::File(path) => Sink::File(Box::new(EventFile::open(path, bytes)?)),
            Self::StandardOutput => Sink::StandardOutput(BufWriter::with_capacity(64 * 1024, std::io::stdout())),
            Self::Nats(prefix) => Sink::Nats(Box::new(NatsSink::connect(settings, prefix).await?)),
        })
    }
}

/// An open target.
pub enum Sink {
    File(Box<EventFile>),
    StandardOutput(BufWriter<Stdout>),
    Nats(Box<NatsSink>),
}

impl Sink {
    /// Sends the event; it may still be on its way.
    pub async fn put(&mut self, replayed: &Replayed) -> anyhow::Result<()> {
        match self {
            Self::File(file) => file.put(&line(replayed)?),
            Self::StandardOutput(stdout) => Ok(stdout.write_all(&line(replayed)?).map_err(PrintError::from)?),
            Self::Nats(nats) => nats.put(replayed).await,
        }
    }

    /// Returns when the receiver has everything: how long the file is, if it is one.
    pub async fn settle(&mut self) -> anyhow::Result<u64> {
        match self {
            Self::File(file) => return file.settle(),
            Self::StandardOutput(stdout) => stdout.flush().map_err(PrintError::from)?,
            Self::Nats(nats) => nats.settle().await?,
        }
        Ok(0)
    }
}

/// The event on a line, which reads back as the same event: a replay that cannot be restored is none.
fn line(replayed: &Replayed) -> anyhow::Result<Vec<u8>> {
    let line = Bytes::from(replayed.to_structured());
    if Replayed::read(line.clone()).as_ref() != Ok(replayed) {
        bail!(
            "the event of org {} at seq {} cannot be written so that it reads back the same; its attributes are none that the ledger takes",
            replayed.event.org_id,
            replayed.seq
        );
    }
    let mut line = Vec::from(line);
    line.push(b'\n');
    Ok(line)
}

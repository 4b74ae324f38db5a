//! How far a replay came, in a file beside it, so that it can go on there.
//!
//! A position is written only when everything before it is safe with the receiver: what is sent behind it
//! and not written down is cut off a file, and sent again to others.

use std::{
    cmp::Ordering,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use events::id::{OrgId, Seq};
use ledger::{
    merkle::Frontier,
    replay::{Selection, Stretch},
};
use serde::{Deserialize, Serialize};

use super::sink::Target;

/// How far a replay came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Where to.
    to: String,
    /// Which events.
    pub selection: Selection,
    /// Where they lie, as it was when the replay began.
    pub stretches: Vec<Stretch>,
    /// How long the file is, if it is one.
    pub bytes: u64,
    /// How many events were sent.
    pub events: u64,
    /// None before the first.
    place: Option<Place>,
}

/// The last seq that was dealt with. The orgs before this one are done, those behind it are not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    org_id: OrgId,
    seq: Seq,
    /// The subtree roots of the tree over this org's events so far, if whole orgs are replayed.
    roots: Vec<Vec<u8>>,
}

impl Position {
    /// At the beginning.
    pub fn first(to: &Target, selection: Selection, stretches: Vec<Stretch>) -> anyhow::Result<Self> {
        Ok(Self { to: to.place()?, selection, stretches, bytes: 0, events: 0, place: None })
    }

    /// This position, which was found in a file, if it is of the replay that begins with `first`.
    fn of(self, first: Self, file: &Path) -> anyhow::Result<Self> {
        let file = file.display();
        if self.to != first.to {
            bail!(
                "position file {file} is of a replay to {}, not to {}; name another with --position",
                self.to,
                first.to
            );
        }
        if self.place.is_none() {
            // Nothing was sent, so nothing binds.
            return Ok(first);
        }
        if self.selection != first.selection {
            bail!(
                "position file {file} is of a replay with another selection: {}; give the same flags, or another --position",
                serde_json::to_string(&self.selection)?
            );
        }
        Ok(self)
    }

    /// The last seq of a stretch that was dealt with, or the one before its first.
    pub fn reached(&self, stretch: &Stretch) -> Seq {
        let before = Seq::new(stretch.from.get() - 1);
        self.place.as_ref().map_or(before, |place| match place.org_id.cmp(&stretch.org_id) {
            Ordering::Greater => stretch.through,
            Ordering::Equal => place.seq,
            Ordering::Less => before,
        })
    }

    /// Everything up to this seq of an org has been dealt with; with the tree over its events, if they are all.
    pub fn reach(&mut self, org_id: OrgId, seq: Seq, tree: Option<&Frontier>) {
        let roots = tree.map_or_else(Vec::new, |tree| tree.roots().iter().map(|root| root.to_vec()).collect());
        self.place = Some(Place { org_id, seq, roots });
    }

    /// The tree over the events of an org that have been dealt with.
    pub fn tree(&self, org_id: OrgId) -> anyhow::Result<Frontier> {
        match self.place.as_ref().filter(|place| place.org_id == org_id) {
            Some(place) => Frontier::restore(place.seq.get() as u64, &place.roots).context(
                "the position was changed, its tree does not fit; remove it and what was written, and begin anew",
            ),
            None => Ok(Frontier::default()),
        }
    }
}

/// Where positions are written.
pub struct PositionFile {
    path: PathBuf,
}

impl PositionFile {
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The position to go on from; `first`, where there is none.
    pub fn resume(&self, first: Position, to: &Target) -> anyhow::Result<Position> {
        let name = self.path.display();
        match fs::read_to_string(&self.path) {
            Ok(text) => serde_json::from_str::<Position>(&text)
                .with_context(|| {
                    format!("position file {name} holds no position of a replay; name another with --position")
                })?
                .of(first, &self.path),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                to.check_vacant()?;
                self.write(&first)?;
                Ok(first)
            }
            Err(error) => Err(error).with_context(|| format!("position file {name} cannot be read")),
        }
    }

    /// Replaces the position: it is the old one or the new one, whatever happens.
    pub fn write(&self, position: &Position) -> anyhow::Result<()> {
        let write = || -> std::io::Result<()> {
            let mut next = self.path.clone().into_os_string();
            next.push(".next");
            let mut file = File::create(&next)?;
            file.write_all(&serde_json::to_vec(position)?)?;
            file.sync_all()?;
            fs::rename(&next, &self.path)?;
            sync_directory_of(&self.path)
        };
        write().with_context(|| format!("position file {} cannot be written", self.path.display()))
    }

    /// The replay is complete.
    pub fn remove(&self) -> anyhow::Result<()> {
        fs::remove_file(&self.path)
            .and_then(|()| sync_directory_of(&self.path))
            .with_context(|| format!("position file {} cannot be removed", self.path.display()))
    }
}

fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

//! What is known of a screen, and what it belongs to.

use chrono::{DateTime, Utc};
use events::id::MacroStateId;

use super::{Name, clusters::Place};
use crate::fold::Stamp;

/// What was seen and said of a screen.
#[derive(Debug, Default)]
pub struct Screen {
    pub seen: Option<Seen>,
    /// Apart, because few screens have one.
    label: Option<Box<(Stamp, Name)>>,
    pub unfoldable: bool,
    pub member: Option<Member>,
}

/// How a screen was seen.
#[derive(Debug)]
pub struct Seen {
    first_at: DateTime<Utc>,
    latest: Stamp,
    pub count: u32,
    cluster: Option<Place>,
    pub portal_type: Option<Name>,
}

/// What a screen belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub kind: MacroStateId,
    pub via: Via,
    pub cluster: Option<Place>,
    pub unfoldable: bool,
}

/// By what a screen belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Defined,
    Label,
    ClusterLabel,
    Cluster,
}

impl Screen {
    /// It was observed once more; the latest observation says what it looks like and where it is.
    pub fn see(&mut self, stamp: Stamp, cluster: Option<Place>, portal_type: Option<Name>) {
        let before = self.seen.take();
        let first_at = before.as_ref().map_or(stamp.time, |seen| seen.first_at.min(stamp.time));
        let count = before.as_ref().map_or(0, |seen| seen.count).saturating_add(1);
        let latest = before.filter(|seen| seen.latest >= stamp);
        let latest = latest.unwrap_or(Seen { first_at, latest: stamp, count, cluster, portal_type });
        self.seen = Some(Seen { first_at, count, ..latest });
    }

    /// Somebody has labelled it; the latest label holds.
    pub fn label(&mut self, stamp: Stamp, label: Name) {
        if self.label.as_ref().is_none_or(|before| stamp > before.0) {
            self.label = Some(Box::new((stamp, label)));
        }
    }

    /// Its own label.
    pub fn own_label(&self) -> Option<&Name> {
        self.label.as_ref().map(|label| &label.1)
    }

    /// What it looks like.
    pub fn cluster(&self) -> Option<Place> {
        self.seen.as_ref().and_then(|seen| seen.cluster)
    }

    /// When it was seen first and last.
    pub fn bounds(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        self.seen.as_ref().map(|seen| (seen.first_at, seen.latest.time))
    }
}

impl Via {
    /// As the table has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Defined => "defined",
            Self::Label => "label",
            Self::ClusterLabel => "cluster_label",
            Self::Cluster => "cluster",
        }
    }
}

//! What is known of a screen, and what it belongs to.

use events::id::MacroStateId;

use super::{Name, clusters::Place};
use crate::fold::{Latest, Span};

/// What was seen and said of a screen.
#[derive(Debug, Default)]
pub struct Screen {
    pub observed: Span,
    pub observed_count: i64,
    pub latest: Latest<Observation>,
    pub label: Latest<Name>,
    pub unfoldable: bool,
    pub member: Option<Member>,
}

/// How it was seen.
#[derive(Debug)]
pub struct Observation {
    pub cluster: Option<Place>,
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
    /// What it looks like.
    pub fn cluster(&self) -> Option<Place> {
        self.latest.get().and_then(|observation| observation.cluster)
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

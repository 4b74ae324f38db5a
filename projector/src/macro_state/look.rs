//! The screens that look alike, and which label most of them have.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use events::id::MicroStateId;

use super::Name;

/// A cluster's screens.
#[derive(Debug, Default)]
pub struct Look {
    screens: BTreeSet<MicroStateId>,
    labels: BTreeMap<Name, u32>,
    /// The same as `labels`: of those that as many screens have, the first in the alphabet comes last.
    ranked: BTreeSet<(u32, Reverse<Name>)>,
}

impl Look {
    /// Its screens.
    pub fn screens(&self) -> &BTreeSet<MicroStateId> {
        &self.screens
    }

    /// The label that most have; of several, the first in the alphabet.
    pub fn label(&self) -> Option<&Name> {
        self.ranked.last().map(|(_, Reverse(label))| label)
    }

    /// The screen looks like these.
    pub fn add(&mut self, id: MicroStateId, label: Option<&Name>) {
        self.screens.insert(id);
        if let Some(label) = label {
            self.count(label, |count| count + 1);
        }
    }

    /// It does no more.
    pub fn remove(&mut self, id: MicroStateId, label: Option<&Name>) {
        self.screens.remove(&id);
        if let Some(label) = label {
            self.count(label, |count| count.saturating_sub(1));
        }
    }

    fn count(&mut self, label: &Name, change: impl FnOnce(u32) -> u32) {
        let before = self.labels.remove(label).unwrap_or_default();
        self.ranked.remove(&(before, Reverse(label.clone())));
        let count = change(before);
        if count > 0 {
            self.labels.insert(label.clone(), count);
            self.ranked.insert((count, Reverse(label.clone())));
        }
    }
}

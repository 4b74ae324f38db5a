//! Kinds of screens: `macro_state`, and which micro-state belongs to which, `macro_state_member`.
//!
//! A state holds a whole org, and its events are folded in the order of their seq, because which screens are alike depends on
//! which were seen before: the same events in the same order make the same clusters, so a rebuild does. What people say is
//! stronger than what looks alike. A micro-state belongs to
//!
//! 1. the macro-state whose definition names it;
//! 2. by its label, the macro-state defined for this label (and portal), or else that of the label;
//! 3. by the label that most of the labelled screens of its cluster have, likewise;
//! 4. its cluster.
//!
//! In that order an event comes once, so none is remembered. `Clusters` says what an observation costs. A label or a definition
//! costs what comes to belong elsewhere by it: at most the screens of a cluster, or those that it names.
//!
//! The state of an org with 5,000 screens of 5,000 texts takes 2.2 MB, and 1.6 KB for each cluster, of which there are 1,000 at
//! most. Where it is not in memory, the org's events of these two families are folded anew, a portion a step.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use events::{
    catalogue::Payload,
    id::{MacroStateId, MicroStateId},
    payload::{MacroStateDefined, MicroStateObserved},
};
use sqlx::PgConnection;

use crate::{
    copy::Copy,
    embedding::{ContentHash, Embedder, Rendition},
    fold::Stamp,
    micro_state::rendition,
    projection::{Content, Embedded, FoldEvent, Lookups, Projection, Subject},
};

mod clusters;
mod columns;
mod definitions;
mod kind;
mod look;
mod rows;
mod screen;
mod settling;
#[cfg(test)]
mod tests;

use clusters::{Clusters, Place};
use definitions::Definitions;
use kind::Kind;
use look::Look;
pub use rows::{MemberRow, Row, Rows};
use screen::Screen;
use settling::label_id;

/// A label or a kind of portal, which many screens have.
type Name = Arc<str>;

/// The kinds of screens of an org.
#[derive(Debug, Default)]
pub struct MacroState {
    clusters: Clusters,
    /// By the cluster's place.
    looks: Vec<Look>,
    screens: BTreeMap<MicroStateId, Screen>,
    definitions: Definitions,
    unfoldable_definitions: BTreeSet<MacroStateId>,
    kinds: BTreeMap<MacroStateId, Kind>,
    names: HashSet<Name>,
    names_bytes: usize,
    /// Screens that may have come to belong to another kind.
    touched: BTreeSet<MicroStateId>,
    changed_members: BTreeSet<MicroStateId>,
    changed_kinds: BTreeSet<MacroStateId>,
}

impl Projection for MacroState {
    const NAME: &'static str = "macro_state";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["macro_state", "macro_state_member"];
    const TYPES: &'static [&'static str] = &["micro_state.observed", "micro_state.labelled", "macro_state.defined"];
    const FAMILIES: &'static [&'static str] = &["micro_state", "macro_state"];
    const EMBEDS: bool = true;
    const IN_ORDER: bool = true;
    /// Enough for some twenty orgs of 5,000 screens, however little these look alike.
    const CACHE_BYTES_MAX: usize = 96 << 20;
    type Rows = Rows;

    fn made_with(embedder: &dyn Embedder) -> String {
        // Another threshold makes other clusters.
        format!("{}, alike from {}", embedder.model(), embedder.alike_from())
    }

    fn wants(event: &FoldEvent<'_>) -> Option<Rendition> {
        let Content::Payload(payload) = &event.content else { return None };
        let Payload::MicroStateObserved(observed) = &**payload else { return None };
        Some(rendition(observed))
    }

    fn knows(&self, text: ContentHash) -> bool {
        self.clusters.knows(text)
    }

    fn apply(&mut self, event: FoldEvent<'_>) {
        match event.content {
            Content::Payload(payload) => match *payload {
                Payload::MicroStateObserved(observed) => {
                    let id = MicroStateId::of_subject(event.subject_id);
                    self.observe(id, event.stamp, &observed, event.embedded);
                }
                Payload::MicroStateLabelled(labelled) => {
                    let (id, label) = (MicroStateId::of_subject(event.subject_id), self.name(labelled.label.as_str()));
                    self.change(id, |screen| screen.label(event.stamp, label));
                }
                Payload::MacroStateDefined(defined) => {
                    self.define(MacroStateId::of_subject(event.subject_id), event.stamp, defined);
                }
                _ => {}
            },
            Content::Unfoldable(_) if event.event_type.starts_with("macro_state.") => {
                let id = MacroStateId::of_subject(event.subject_id);
                self.unfoldable_definitions.insert(id);
                self.changed_kinds.insert(id);
            }
            Content::Unfoldable(_) => {
                self.change(MicroStateId::of_subject(event.subject_id), |screen| screen.unfoldable = true);
            }
            Content::Elsewhere => {}
        }
    }

    fn take_rows(&mut self, subject: Subject, _: &Lookups, rows: &mut Rows) -> usize {
        self.settle();
        let before = rows.weight();
        for id in std::mem::take(&mut self.changed_members) {
            match self.member_row(subject.org_id, id) {
                Some(row) => rows.members.push(row),
                None => rows.gone_members.push((subject.org_id, id)),
            }
        }
        for id in std::mem::take(&mut self.changed_kinds) {
            match self.kind_row(subject.org_id, id) {
                Some(row) => rows.kinds.push(row),
                None => rows.gone_kinds.push((subject.org_id, id)),
            }
        }
        rows.weight() - before
    }

    fn forget_changes(&mut self) {
        self.settle();
        self.changed_members.clear();
        self.changed_kinds.clear();
    }

    fn weight(&self) -> usize {
        // With what is kept of it in its cluster and its kind; trees are about half full.
        const ID: usize = size_of::<MicroStateId>();
        const SCREEN: usize = 2 * (ID + size_of::<Screen>() + ID + 2 * (ID + size_of::<DateTime<Utc>>()));
        const NAME: usize = 64;
        let names = self.names.len() * NAME + self.names_bytes;
        size_of::<Self>() + self.clusters.weight() + self.screens.len() * SCREEN + self.definitions.weight() + names
    }

    fn copy(rows: &Rows) -> Vec<Copy> {
        rows.copy()
    }

    async fn write(rows: &Rows, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        rows.write(conn).await
    }
}

impl MacroState {
    fn observe(&mut self, id: MicroStateId, stamp: Stamp, observed: &MicroStateObserved, embedded: Option<Embedded>) {
        let cluster = embedded.and_then(|Embedded { hash, numbers, alike_from }| {
            self.clusters.place(hash, || numbers.map(|numbers| numbers.normalized()), alike_from)
        });
        let portal_type = observed.portal_type.as_ref().map(|portal_type| self.name(portal_type.as_str()));
        self.change(id, |screen| screen.see(stamp, cluster, portal_type));
    }

    /// The one copy of a name.
    fn name(&mut self, name: &str) -> Name {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name = Name::from(name);
        self.names_bytes += name.len();
        self.names.insert(name.clone());
        name
    }

    /// Changes what is known of a screen, and keeps its kind and its cluster up.
    fn change(&mut self, id: MicroStateId, change: impl FnOnce(&mut Screen)) {
        let screen = self.screens.entry(id).or_default();
        let before = (screen.cluster(), screen.own_label().cloned());
        let kind = screen.member.as_ref().map(|member| member.kind);
        let mut kind = kind.and_then(|kind| self.kinds.get_mut(&kind));
        if let Some(kind) = &mut kind {
            kind.remove(id, screen);
        }
        change(screen);
        if let Some(kind) = kind {
            kind.add(id, screen);
        }
        let now = (screen.cluster(), screen.own_label().cloned());
        self.touched.insert(id);
        if now != before {
            self.regroup(id, before, now);
        }
    }

    /// The screen has come from a cluster to another, or has another label.
    fn regroup(&mut self, id: MicroStateId, before: (Option<Place>, Option<Name>), now: (Option<Place>, Option<Name>)) {
        for place in BTreeSet::from([before.0, now.0]).into_iter().flatten() {
            if self.looks.len() <= usize::from(place) {
                self.looks.resize_with(usize::from(place) + 1, Look::default);
            }
            let look = &mut self.looks[usize::from(place)];
            let label_before = look.label().cloned();
            if before.0 == Some(place) {
                look.remove(id, before.1.as_ref());
            }
            if now.0 == Some(place) {
                look.add(id, now.1.as_ref());
            }
            if look.label() != label_before.as_ref() {
                self.touched.extend(look.screens());
            }
        }
    }

    fn define(&mut self, id: MacroStateId, stamp: Stamp, defined: MacroStateDefined) {
        if self.definitions.is_outdated(id, stamp) {
            return;
        }
        self.changed_kinds.insert(id);
        // What was defined before may hold no more, and what is defined now takes screens from where they are.
        self.touch(id);
        self.touched.extend(definitions::named(&defined));
        if let Some((label, portal_type)) = definitions::label(&defined) {
            self.touch(label_id(&label));
            for portal_type in [None, portal_type.as_ref()] {
                self.definitions.of_label(&label, portal_type).into_iter().for_each(|kind| self.touch(kind));
            }
        }
        self.definitions.set(id, stamp, defined);
    }

    /// The screens of this kind may come to belong to another.
    fn touch(&mut self, kind: MacroStateId) {
        self.touched.extend(self.kinds.get(&kind).into_iter().flat_map(Kind::screens));
    }
}

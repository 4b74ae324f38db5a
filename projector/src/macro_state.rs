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
//! In that order an event comes once, so none is remembered. [`Clusters`] says what an observation costs. A label or a definition costs what it moves: the screens of a cluster, or all.
//! On a cache's miss the org's events of these two families are folded anew, a page at a time; one state takes
//! about 3 KB a cluster, of which there are 1,000 at most, and 500 bytes a micro-state.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use events::{
    catalogue::Payload,
    id::{MacroStateId, MicroStateId},
    payload::{MacroStateDefined, MicroStateObserved, value::IndexedText},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    copy::Copy,
    embedding::{Embedder, Rendition},
    fold::{Latest, Span, Stamp},
    micro_state::rendition,
    projection::{Content, Embedded, FoldEvent, Lookups, Projection, Subject},
};

mod clusters;
mod columns;
mod rows;
#[cfg(test)]
mod tests;

use clusters::Clusters;
pub use rows::{MemberRow, Row, Rows};

const NAMESPACE: Uuid = Uuid::from_u128(0x2a67_5c0b_91de_5f3c_8b44_7d10_e6f2_93a5);

/// The kinds of screens of an org.
#[derive(Debug, Default)]
pub struct MacroState {
    clusters: Clusters,
    /// By the cluster's place.
    looks: Vec<Look>,
    screens: BTreeMap<MicroStateId, Screen>,
    definitions: BTreeMap<MacroStateId, Latest<MacroStateDefined>>,
    unfoldable_definitions: BTreeSet<MacroStateId>,
    /// What definitions say, turned around.
    named: HashMap<MicroStateId, (Stamp, MacroStateId)>,
    of_label: HashMap<String, Vec<Labelled>>,
    kinds: BTreeMap<MacroStateId, Kind>,
    /// Screens that may have come to belong to another kind.
    touched: BTreeSet<MicroStateId>,
    changed_members: BTreeSet<MicroStateId>,
    changed_kinds: BTreeSet<MacroStateId>,
    texts_bytes: usize,
}

/// What was seen and said of a screen.
#[derive(Debug, Default)]
struct Screen {
    observed: Span,
    observed_count: i64,
    latest: Latest<Observation>,
    label: Latest<String>,
    unfoldable: bool,
    member: Option<Member>,
}

#[derive(Debug)]
struct Observation {
    cluster: Option<usize>,
    portal_type: Option<String>,
}

/// A cluster's screens, and how many of them have which label.
#[derive(Debug, Default)]
struct Look {
    screens: BTreeSet<MicroStateId>,
    labels: BTreeMap<String, u32>,
}

/// A definition that goes by a label.
#[derive(Debug)]
struct Labelled {
    stamp: Stamp,
    macro_state_id: MacroStateId,
    portal_type: Option<String>,
}

/// What a screen belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    kind: MacroStateId,
    via: Via,
    cluster: Option<usize>,
    unfoldable: bool,
}

/// By what a screen belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Defined,
    Label,
    ClusterLabel,
    Cluster,
}

/// A kind of screen.
#[derive(Debug)]
struct Kind {
    origin: Origin,
    screens: BTreeSet<MicroStateId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Defined,
    Label(String),
    Cluster,
}

impl Projection for MacroState {
    const NAME: &'static str = "macro_state";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &["macro_state", "macro_state_member"];
    const TYPES: &'static [&'static str] = &["micro_state.observed", "micro_state.labelled", "macro_state.defined"];
    const FAMILIES: &'static [&'static str] = &["micro_state", "macro_state"];
    const EMBEDS: bool = true;
    const IN_ORDER: bool = true;
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

    fn apply(&mut self, event: FoldEvent<'_>) {
        match event.content {
            Content::Payload(payload) => match *payload {
                Payload::MicroStateObserved(observed) => {
                    let id = MicroStateId::of_subject(event.subject_id);
                    self.observe(id, event.stamp, &observed, event.embedded);
                }
                Payload::MicroStateLabelled(labelled) => {
                    let id = MicroStateId::of_subject(event.subject_id);
                    self.texts_bytes += labelled.label.as_str().len();
                    self.change(id, |screen| screen.label.offer(event.stamp, labelled.label.into()));
                }
                Payload::MacroStateDefined(defined) => {
                    self.texts_bytes += event.data.len();
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
            rows.members.extend(self.member_row(subject.org_id, id));
        }
        for id in std::mem::take(&mut self.changed_kinds) {
            match self.kind_row(subject.org_id, id) {
                Some(row) => rows.kinds.push(row),
                None => rows.gone.push((subject.org_id, id)),
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
        const SCREEN: usize = 500;
        size_of::<Self>() + self.clusters.weight() + self.screens.len() * SCREEN + 3 * self.texts_bytes
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
        let portal_type = observed.portal_type.as_ref().map(|portal_type| portal_type.as_str().to_owned());
        self.change(id, |screen| {
            screen.observed.include(stamp.time);
            screen.observed_count += 1;
            screen.latest.offer(stamp, Observation { cluster, portal_type });
        });
    }

    /// Changes what is known of a screen, and sees to its cluster.
    fn change(&mut self, id: MicroStateId, change: impl FnOnce(&mut Screen)) {
        let screen = self.screens.entry(id).or_default();
        let (cluster_before, label_before) = (screen.cluster(), screen.label.get().cloned());
        change(screen);
        let (cluster, label) = (screen.cluster(), screen.label.get().cloned());
        self.touched.insert(id);
        if (cluster, &label) == (cluster_before, &label_before) {
            return;
        }
        let of = |looks: &[Look], place: Option<usize>| looks.get(place?)?.label().cloned();
        let places = BTreeSet::from([cluster_before, cluster]);
        let labels: Vec<_> = places.iter().map(|place| of(&self.looks, *place)).collect();
        if let Some(look) = cluster_before.and_then(|place| self.looks.get_mut(place)) {
            look.remove(id, label_before.as_deref());
        }
        if let Some(place) = cluster {
            if self.looks.len() <= place {
                self.looks.resize_with(place + 1, Look::default);
            }
            self.looks[place].add(id, label);
        }
        for (place, label_before) in places.into_iter().zip(labels) {
            if of(&self.looks, place) != label_before
                && let Some(look) = place.and_then(|place| self.looks.get(place))
            {
                self.touched.extend(&look.screens);
            }
        }
    }

    fn define(&mut self, id: MacroStateId, stamp: Stamp, defined: MacroStateDefined) {
        self.definitions.entry(id).or_default().offer(stamp, defined);
        self.changed_kinds.insert(id);
        self.touched.extend(self.screens.keys());
        self.named.clear();
        self.of_label.clear();
        for (&macro_state_id, definition) in &self.definitions {
            let (Some(&stamp), Some(defined)) = (definition.key(), definition.get()) else { continue };
            for &screen in defined.micro_state_ids.iter().flatten() {
                let named = (stamp, macro_state_id);
                self.named.entry(screen).and_modify(|latest| *latest = named.max(*latest)).or_insert(named);
            }
            if let Some(label) = &defined.label {
                let portal_type = defined.portal_type.as_ref().map(|portal_type| portal_type.as_str().to_owned());
                let labelled = Labelled { stamp, macro_state_id, portal_type };
                self.of_label.entry(label.as_str().to_owned()).or_default().push(labelled);
            }
        }
    }

    /// Says of each screen that was touched what it belongs to.
    fn settle(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some((member, origin)) = self.screens.get(&id).and_then(|screen| self.belonging(id, screen)) else {
                continue;
            };
            let Some(screen) = self.screens.get_mut(&id) else { continue };
            let before = screen.member.replace(member.clone());
            self.changed_kinds.insert(member.kind);
            if before.as_ref() == Some(&member) {
                continue;
            }
            self.changed_members.insert(id);
            if let Some(before) = before.filter(|before| before.kind != member.kind) {
                self.changed_kinds.insert(before.kind);
                if let Some(kind) = self.kinds.get_mut(&before.kind) {
                    kind.screens.remove(&id);
                    if kind.screens.is_empty() {
                        self.kinds.remove(&before.kind);
                    }
                }
            }
            let kind = self.kinds.entry(member.kind).or_insert(Kind { origin, screens: BTreeSet::new() });
            kind.screens.insert(id);
        }
    }

    fn belonging(&self, id: MicroStateId, screen: &Screen) -> Option<(Member, Origin)> {
        let cluster = screen.cluster();
        let member = |kind, via| Member { kind, via, cluster, unfoldable: screen.unfoldable };
        if let Some(&(_, kind)) = self.named.get(&id) {
            return Some((member(kind, Via::Defined), Origin::Defined));
        }
        let own = screen.label.get().map(|label| (label, Via::Label));
        let others = || Some((self.looks.get(cluster?)?.label()?, Via::ClusterLabel));
        if let Some((label, via)) = own.or_else(others) {
            let (kind, origin) = self.kind_of_label(label, screen);
            return Some((member(kind, via), origin));
        }
        Some((member(self.cluster_id(cluster?), Via::Cluster), Origin::Cluster))
    }

    /// A definition for the screen's kind of portal goes before one for all; of several, the latest.
    fn kind_of_label(&self, label: &str, screen: &Screen) -> (MacroStateId, Origin) {
        let portal_type = screen.latest.get().and_then(|observation| observation.portal_type.as_ref());
        let fits = |it: &&Labelled| it.portal_type.is_none() || it.portal_type.as_ref() == portal_type;
        let defined = self.of_label.get(label).into_iter().flatten().filter(fits);
        match defined.max_by_key(|it| (it.portal_type.is_some(), it.stamp, it.macro_state_id)) {
            Some(defined) => (defined.macro_state_id, Origin::Defined),
            None => (id_of(&format!("label {label}")), Origin::Label(label.to_owned())),
        }
    }

    fn cluster_id(&self, place: usize) -> MacroStateId {
        id_of(&format!("cluster {}", self.clusters.leader(place)))
    }
}

/// Ids are functions of what they name, so that they are the same after a rebuild.
fn id_of(name: &str) -> MacroStateId {
    // A UUID of version 5 is not nil.
    MacroStateId::try_from(Uuid::new_v5(&NAMESPACE, name.as_bytes())).unwrap_or_else(|_| unreachable!())
}

impl Screen {
    fn cluster(&self) -> Option<usize> {
        self.latest.get().and_then(|observation| observation.cluster)
    }
}

impl Look {
    fn add(&mut self, id: MicroStateId, label: Option<String>) {
        self.screens.insert(id);
        if let Some(label) = label {
            *self.labels.entry(label).or_default() += 1;
        }
    }

    fn remove(&mut self, id: MicroStateId, label: Option<&str>) {
        self.screens.remove(&id);
        if let Some(label) = label
            && let Some(count) = self.labels.get_mut(label)
        {
            *count -= 1;
            if *count == 0 {
                self.labels.remove(label);
            }
        }
    }

    /// The label that most have; of several, the first in the alphabet.
    fn label(&self) -> Option<&String> {
        let most = self.labels.iter().max_by_key(|(label, count)| (**count, std::cmp::Reverse(*label)));
        most.map(|(label, _)| label)
    }
}

impl Via {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Defined => "defined",
            Self::Label => "label",
            Self::ClusterLabel => "cluster_label",
            Self::Cluster => "cluster",
        }
    }
}

fn text(text: &Option<IndexedText>) -> Option<String> {
    text.as_ref().map(|text| text.as_str().to_owned())
}

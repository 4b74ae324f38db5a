//! What screens belong to, said anew of those for which it may have changed.

use events::id::{MacroStateId, MicroStateId};
use uuid::Uuid;

use super::{
    MacroState, Name,
    clusters::Place,
    kind::Kind,
    screen::{Member, Screen, Via},
};

const NAMESPACE: Uuid = Uuid::from_u128(0x2a67_5c0b_91de_5f3c_8b44_7d10_e6f2_93a5);

impl MacroState {
    /// Says of each screen that was touched what it belongs to.
    pub(super) fn settle(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(screen) = self.screens.get(&id) else { continue };
            let now = self.belonging(id, screen);
            let Some(screen) = self.screens.get_mut(&id) else { continue };
            let before = std::mem::replace(&mut screen.member, now.clone());
            // The kind counts what was observed of the screen, also where this is all that has changed.
            self.changed_kinds.extend(now.as_ref().map(|member| member.kind));
            if before == now {
                continue;
            }
            self.changed_members.insert(id);
            let (before, now) = (before.map(|member| member.kind), now.map(|member| member.kind));
            if before != now {
                self.move_screen(id, before, now);
            }
        }
    }

    fn belonging(&self, id: MicroStateId, screen: &Screen) -> Option<Member> {
        let cluster = screen.cluster();
        let member = |kind, via| Some(Member { kind, via, cluster, unfoldable: screen.unfoldable });
        if let Some(kind) = self.definitions.naming(id) {
            return member(kind, Via::Defined);
        }
        match self.label_of(screen) {
            Some((label, via)) => member(self.kind_of_label(label, screen), via),
            None => member(self.cluster_id(cluster?), Via::Cluster),
        }
    }

    /// The screen's own label, or that of what looks like it.
    fn label_of<'a>(&'a self, screen: &'a Screen) -> Option<(&'a Name, Via)> {
        let own = screen.own_label().map(|label| (label, Via::Label));
        let others = || self.looks.get(usize::from(screen.cluster()?))?.label();
        own.or_else(|| others().map(|label| (label, Via::ClusterLabel)))
    }

    fn kind_of_label(&self, label: &Name, screen: &Screen) -> MacroStateId {
        let portal_type = screen.seen.as_ref().and_then(|seen| seen.portal_type.as_ref());
        self.definitions.of_label(label, portal_type).unwrap_or_else(|| label_id(label))
    }

    pub(super) fn cluster_id(&self, place: Place) -> MacroStateId {
        id_of(&format!("cluster {}", self.clusters.leader(place)))
    }

    fn move_screen(&mut self, id: MicroStateId, before: Option<MacroStateId>, now: Option<MacroStateId>) {
        let Some(screen) = self.screens.get(&id) else { return };
        if let Some(before) = before
            && let Some(kind) = self.kinds.get_mut(&before)
        {
            self.changed_kinds.insert(before);
            kind.remove(id, screen);
            if kind.len() == 0 {
                self.kinds.remove(&before);
            }
        }
        if let Some(now) = now {
            let label = || self.label_of(screen).map(|(label, _)| label.clone());
            let label = (!self.kinds.contains_key(&now)).then(label).flatten();
            self.kinds.entry(now).or_insert_with(|| Kind::new(label)).add(id, screen);
        }
    }
}

/// The kind of screens that have this label, unless it is defined for another.
pub fn label_id(label: &str) -> MacroStateId {
    id_of(&format!("label {label}"))
}

/// Ids are functions of what they name, so that they are the same after a rebuild.
fn id_of(name: &str) -> MacroStateId {
    // A UUID of version 5 is not nil.
    MacroStateId::try_from(Uuid::new_v5(&NAMESPACE, name.as_bytes())).unwrap_or_else(|_| unreachable!())
}

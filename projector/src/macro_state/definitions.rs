//! What people have defined, and which definition holds: for a screen that is named, and for a label.

use std::{collections::HashMap, hash::Hash};

use events::{
    id::{MacroStateId, MicroStateId},
    payload::{MacroStateDefined, value::IndexedText},
};

use super::Name;
use crate::fold::{Latest, Stamp};

/// The definitions of an org.
#[derive(Debug, Default)]
pub struct Definitions {
    definitions: HashMap<MacroStateId, Latest<MacroStateDefined>>,
    of_screen: Claims<MicroStateId>,
    /// By the label, and the kind of portal that they are for; none: for all.
    of_label: Claims<(Name, Option<Name>)>,
    weight: usize,
}

impl Definitions {
    /// What was defined latest.
    pub fn get(&self, id: MacroStateId) -> Option<&MacroStateDefined> {
        self.definitions.get(&id).and_then(Latest::get)
    }

    /// Whether something later is known.
    pub fn is_outdated(&self, id: MacroStateId, stamp: Stamp) -> bool {
        self.definitions.get(&id).and_then(Latest::key).is_some_and(|latest| stamp <= *latest)
    }

    /// The definition, which is not outdated, holds instead of what was defined before.
    pub fn set(&mut self, id: MacroStateId, stamp: Stamp, defined: MacroStateDefined) {
        let definition = self.definitions.entry(id).or_default();
        if let (Some(&stamp), Some(before)) = (definition.key(), definition.get()) {
            self.weight -= weight(before);
            named(before).for_each(|screen| self.of_screen.remove(&screen, (stamp, id)));
            label(before).into_iter().for_each(|label| self.of_label.remove(&label, (stamp, id)));
        }
        self.weight += weight(&defined);
        named(&defined).for_each(|screen| self.of_screen.add(screen, (stamp, id)));
        label(&defined).into_iter().for_each(|label| self.of_label.add(label, (stamp, id)));
        definition.offer(stamp, defined);
    }

    /// The macro-state whose definition names this screen.
    pub fn naming(&self, screen: MicroStateId) -> Option<MacroStateId> {
        self.of_screen.latest(&screen)
    }

    /// The macro-state that is defined for this label: one for this kind of portal goes before one for all.
    pub fn of_label(&self, label: &Name, portal_type: Option<&Name>) -> Option<MacroStateId> {
        let for_portal = portal_type.and_then(|it| self.of_label.latest(&(label.clone(), Some(it.clone()))));
        for_portal.or_else(|| self.of_label.latest(&(label.clone(), None)))
    }

    /// About how many bytes they take.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

/// Which definitions claim a thing, in their order; the latest holds.
#[derive(Debug)]
struct Claims<T>(HashMap<T, Vec<(Stamp, MacroStateId)>>);

impl<T> Default for Claims<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Claims<T> {
    fn add(&mut self, thing: T, claim: (Stamp, MacroStateId)) {
        let claims = self.0.entry(thing).or_default();
        if let Err(at) = claims.binary_search(&claim) {
            claims.insert(at, claim);
        }
    }

    fn remove(&mut self, thing: &T, claim: (Stamp, MacroStateId)) {
        let Some(claims) = self.0.get_mut(thing) else { return };
        if let Ok(at) = claims.binary_search(&claim) {
            claims.remove(at);
        }
        if claims.is_empty() {
            self.0.remove(thing);
        }
    }

    fn latest(&self, thing: &T) -> Option<MacroStateId> {
        self.0.get(thing)?.last().map(|(_, id)| *id)
    }
}

/// The screens that it names.
pub fn named(defined: &MacroStateDefined) -> impl Iterator<Item = MicroStateId> {
    defined.micro_state_ids.iter().flatten().copied()
}

/// The label that it is for, and the kind of portal.
pub fn label(defined: &MacroStateDefined) -> Option<(Name, Option<Name>)> {
    let name = |text: &IndexedText| Name::from(text.as_str());
    defined.label.as_ref().map(|label| (name(label), defined.portal_type.as_ref().map(name)))
}

fn weight(defined: &MacroStateDefined) -> usize {
    const CLAIM: usize = 250;
    let texts = defined.name.as_str().len() + defined.description.as_ref().map_or(0, |text| text.as_str().len());
    let claims = 1 + named(defined).count() + usize::from(defined.label.is_some());
    size_of::<MacroStateDefined>() + texts + claims * CLAIM
}

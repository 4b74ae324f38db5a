use std::collections::BTreeMap;

use events::payload::value::{Json, Object};

use super::{Latest, Stamp, object};

/// An object put together from many events, key by key: each key has the value of its latest event.
#[derive(Clone, Debug, Default)]
pub struct Keyed {
    members: BTreeMap<String, Latest<Json>>,
    weight: usize,
}

impl Keyed {
    /// Takes the members that are later than those known.
    pub fn offer(&mut self, stamp: Stamp, object: Object) {
        for (key, value) in object {
            let key_bytes = key.len();
            let member = self.members.entry(key).or_insert_with(|| {
                self.weight += key_bytes + 64;
                Latest::default()
            });
            self.weight -= member.get().map_or(0, |value| value.as_str().len());
            member.offer(stamp, value);
            self.weight += member.get().map_or(0, |value| value.as_str().len());
        }
    }

    /// The object as JSON.
    pub fn to_json(&self) -> String {
        let members =
            self.members.iter().filter_map(|(key, value)| value.get().map(|value| (key.as_str(), value.as_str())));
        object::of_members(members)
    }

    /// About how many bytes of memory this holds.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

use std::{collections::BTreeMap, slice};

use events::payload::value::Object;

use super::{Stamp, object};

/// A list keeps at most this many elements …
pub const LIST_ELEMENTS_MAX: usize = 1_000;
/// … and at most this many bytes of JSON.
pub const LIST_BYTES_MAX: usize = 16 << 20;

/// Where an element stands: the event that sent it, and its place among those that the event sent.
type Place = (Stamp, usize);

/// The latest elements of an array column, in the order in which they happened.
///
/// `floor` is the greatest element that ever had to go. Whatever is below it would have had to go
/// as well, had it come first, so it is not taken in later: that makes the bound in bytes
/// independent of order too.
#[derive(Clone, Debug, Default)]
pub struct List {
    elements: BTreeMap<Place, Box<str>>,
    bytes: usize,
    floor: Option<Place>,
}

impl List {
    /// Adds what was sent, together with the time and the id of the event that sent it.
    pub fn add(&mut self, stamp: Stamp, element: &Object) {
        self.add_all(stamp, slice::from_ref(element));
    }

    /// [`add`](Self::add) for an event that sent several elements.
    pub fn add_all(&mut self, stamp: Stamp, elements: &[Object]) {
        for (number, element) in elements.iter().enumerate() {
            self.add_json((stamp, number), render(stamp, element).into());
        }
    }

    fn add_json(&mut self, place: Place, json: Box<str>) {
        if self.floor.is_some_and(|floor| place < floor) {
            return;
        }
        self.bytes += json.len();
        self.elements.insert(place, json);
        while self.elements.len() > LIST_ELEMENTS_MAX || self.bytes > LIST_BYTES_MAX {
            let Some((lowest, json)) = self.elements.pop_first() else { break };
            self.bytes -= json.len();
            self.floor = self.floor.max(Some(lowest));
        }
    }

    /// Whether the ledger has elements that the column does not.
    pub fn truncated(&self) -> bool {
        self.floor.is_some()
    }

    /// The array as JSON.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.bytes + self.elements.len() + 2);
        json.push('[');
        for (index, element) in self.elements.values().enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(element);
        }
        json.push(']');
        json
    }

    /// About how many bytes of memory this holds.
    pub fn weight(&self) -> usize {
        self.bytes + self.elements.len() * 64
    }
}

/// An element with `time` and `event_id`, which replace members of those names.
fn render(stamp: Stamp, element: &Object) -> String {
    let (time, event_id) = (format!("\"{}\"", stamp.rfc3339()), format!("\"{}\"", stamp.event_id));
    let sent = element.iter().filter(|(key, _)| !matches!(*key, "time" | "event_id"));
    let sent = sent.map(|(key, value)| (key, value.as_str()));
    object::of_members(sent.chain([("time", time.as_str()), ("event_id", event_id.as_str())]))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn stamp(second: i64) -> Stamp {
        Stamp { time: DateTime::from_timestamp(second, 0).unwrap(), event_id: Uuid::from_u128(7).try_into().unwrap() }
    }

    fn list(elements: impl IntoIterator<Item = (i64, usize)>) -> List {
        let mut list = List::default();
        for (place, bytes) in elements {
            // Two of an event.
            list.add_json((stamp(place / 2), place as usize % 2), "x".repeat(bytes).into());
        }
        list
    }

    #[test]
    fn an_element_gets_the_time_and_the_event_id_in_place_of_its_own() {
        let element: Object = serde_json::from_str(r#"{"event_id":"mine","n":1.50,"time":"noon"}"#).unwrap();
        assert_eq!(
            render(stamp(0), &element),
            r#"{"n":1.50,"time":"1970-01-01T00:00:00.000000Z","event_id":"00000000-0000-0000-0000-000000000007"}"#
        );
    }

    #[test]
    fn elements_of_one_event_stand_in_the_order_in_which_it_sent_them() {
        let shots: Vec<Object> = (0..12).map(|n| serde_json::from_str(&format!(r#"{{"n":{n}}}"#)).unwrap()).collect();
        let mut list = List::default();
        list.add(stamp(2), &shots[11]);
        list.add_all(stamp(1), &shots[..11]);
        let json: Vec<serde_json::Value> = serde_json::from_str(&list.to_json()).unwrap();
        assert_eq!(
            json.iter().map(|element| element["n"].as_u64().unwrap()).collect::<Vec<_>>(),
            (0..12).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_latest_thousand_are_kept() {
        let list = list((0..1_501).rev().map(|place| (place, 1)));
        assert_eq!(list.elements.len(), LIST_ELEMENTS_MAX);
        assert_eq!(list.elements.first_key_value().unwrap().0, &(stamp(250), 1));
        assert!(list.truncated());
    }

    proptest! {
        #[test]
        fn the_bound_in_bytes_does_not_depend_on_order(
            sizes in proptest::collection::vec(1..9usize, 1..9),
            order in Just((0..9usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let elements: Vec<_> = sizes.iter().enumerate().map(|(at, mib)| (at as i64, mib << 20)).collect();
            let shuffled = order.iter().filter_map(|at| elements.get(*at).copied());
            let (sorted, shuffled) = (list(elements.clone()), list(shuffled));
            prop_assert_eq!(sorted.elements.keys().collect::<Vec<_>>(), shuffled.elements.keys().collect::<Vec<_>>());
            prop_assert_eq!(sorted.truncated(), shuffled.truncated());
        }
    }
}

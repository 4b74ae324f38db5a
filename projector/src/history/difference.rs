//! What differs between two rows, or any two JSON objects: paths to values, with both values. Works on
//! the text of the values, so that numbers stay as they are.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// Array columns whose elements are known by the event that added them.
const LISTS: [&str; 3] = ["endpoints_used", "screenshots", "events"];
/// So many elements at most are looked at, one by one, for where a list goes on as the other does.
const DROPPED_MAX: usize = 16;

type Members<'a, V = &'a RawValue> = BTreeMap<Cow<'a, str>, V>;

/// A value that differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The column, and the way from there: `context.payer`, `context["a.b"]`, and for what an event added
    /// to a list the event's id, `events["018f6e2a-…"]`.
    pub path: String,
    /// The value on the one side; none where there is none. Of an event that added several elements to a
    /// list, the array of those that are there.
    pub from: Option<Box<RawValue>>,
    /// The value on the other side.
    pub to: Option<Box<RawValue>>,
}

/// What differs between two rows. As JSON an object: `{path: [from, to]}`, null for no value.
#[derive(Clone, Debug, Default)]
pub struct Differences(pub Vec<Difference>);

impl Differences {
    /// Compares two rows, column by column and, where both hold an object, key by key. A null column is
    /// one without a value.
    ///
    /// # Errors
    /// When a row is no JSON object.
    pub fn between(from: Option<&RawValue>, to: Option<&RawValue>) -> Result<Self, serde_json::Error> {
        let mut differences = Self::default();
        let (from, to) = (columns(from)?, columns(to)?);
        for column in keys(&from, &to) {
            differences.compare(column.to_owned(), from.get(column).copied(), to.get(column).copied())?;
        }
        Ok(differences)
    }

    /// Compares two values at this path.
    ///
    /// # Errors
    /// When one is no JSON.
    pub fn of_values(path: &str, from: Option<&RawValue>, to: Option<&RawValue>) -> Result<Self, serde_json::Error> {
        let mut differences = Self::default();
        differences.compare(path.to_owned(), from, to)?;
        Ok(differences)
    }

    /// Compares two lists: JSON arrays whose elements are known by their events. Where events only
    /// added theirs at the end and elements were dropped at the start, as lists grow, it costs what differs.
    ///
    /// # Errors
    /// When one is no such list.
    pub(super) fn of_lists(column: &str, from: Option<&str>, to: Option<&str>) -> Result<Self, serde_json::Error> {
        if let Some((dropped, added)) = from.zip(to).and_then(|(from, to)| dropped_and_added(from, to)) {
            let (dropped, added) = (format!("[{dropped}]"), format!("[{added}]"));
            return Self::of_values(column, Some(serde_json::from_str(&dropped)?), Some(serde_json::from_str(&added)?));
        }
        let [from, to] = [from, to].map(|list| list.map(serde_json::from_str).transpose());
        Self::of_values(column, from?, to?)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn compare(
        &mut self,
        path: String,
        from: Option<&RawValue>,
        to: Option<&RawValue>,
    ) -> Result<(), serde_json::Error> {
        if from.map(RawValue::get) == to.map(RawValue::get) {
            return Ok(());
        }
        if let (Some(from), Some(to)) = (from, to) {
            let are_both = |opening| [from, to].iter().all(|value| value.get().starts_with(opening));
            if are_both('{') {
                let (from, to): (Members<'_>, Members<'_>) =
                    (serde_json::from_str(from.get())?, serde_json::from_str(to.get())?);
                for key in keys(&from, &to) {
                    self.compare(below(&path, key), from.get(key).copied(), to.get(key).copied())?;
                }
                return Ok(());
            }
            if are_both('[') && LISTS.contains(&path.as_str()) {
                let (from, to) = (by_event(from)?, by_event(to)?);
                for key in keys(&from, &to) {
                    let [from, to] =
                        [&from, &to].map(|list| list.get(key).map(|elements| one_or_all(elements)).transpose());
                    self.compare(below(&path, key), from?.as_deref(), to?.as_deref())?;
                }
                return Ok(());
            }
            if is_same(from, to)? {
                return Ok(());
            }
        }
        self.0.push(Difference { path, from: from.map(ToOwned::to_owned), to: to.map(ToOwned::to_owned) });
        Ok(())
    }
}

impl Serialize for Differences {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|Difference { path, from, to }| (path, (from, to))))
    }
}

/// The columns that have a value.
fn columns(row: Option<&RawValue>) -> Result<Members<'_>, serde_json::Error> {
    let Some(row) = row else { return Ok(Members::new()) };
    let mut columns: Members<'_> = serde_json::from_str(row.get())?;
    columns.retain(|_, value| value.get() != "null");
    Ok(columns)
}

/// An element of a list.
#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
}

impl<'a> Element<'a> {
    fn of(element: &'a RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(element.get())
    }
}

/// The elements of a list by the event that added them: some events add several.
fn by_event(list: &RawValue) -> Result<Members<'_, Vec<&RawValue>>, serde_json::Error> {
    let mut by_event = Members::<Vec<&RawValue>>::new();
    for element in serde_json::from_str::<Vec<&RawValue>>(list.get())? {
        by_event.entry(Element::of(element)?.event_id).or_default().push(element);
    }
    Ok(by_event)
}

/// The one element of an event, or the array of all.
fn one_or_all<'a>(elements: &[&'a RawValue]) -> Result<Cow<'a, RawValue>, serde_json::Error> {
    match elements {
        [one] => Ok(Cow::Borrowed(one)),
        all => serde_json::value::to_raw_value(all).map(Cow::Owned),
    }
}

/// The elements of the one list and of the other, without those that end the one and begin the other;
/// none where that takes a closer look, as where some elements of one event are dropped and others kept.
fn dropped_and_added<'a>(from: &'a str, to: &'a str) -> Option<(&'a str, &'a str)> {
    let elements = |list: &'a str| list.strip_prefix('[')?.strip_suffix(']');
    let (from, to) = (elements(from)?, elements(to)?);
    let mut kept = from;
    let mut last_dropped = None;
    for _ in 0..DROPPED_MAX {
        // What is kept is whole elements, so that what follows them in the other list is too.
        if let Some(added) = to.strip_prefix(kept)
            && (kept.is_empty() || added.is_empty() || added.starts_with(','))
        {
            if last_dropped.is_some_and(|Element { event_id }| kept.contains(&*event_id)) {
                return None;
            }
            let dropped = &from[..from.len() - kept.len()];
            return Some((dropped.strip_suffix(',').unwrap_or(dropped), added.strip_prefix(',').unwrap_or(added)));
        }
        let mut rest = serde_json::Deserializer::from_str(kept).into_iter::<&RawValue>();
        last_dropped = Some(Element::of(rest.next()?.ok()?).ok()?);
        kept = &kept[rest.byte_offset()..];
        kept = kept.strip_prefix(',').unwrap_or(kept);
    }
    None
}

/// Whether two values are the same but for white space, escapes and the order of keys.
fn is_same(one: &RawValue, other: &RawValue) -> Result<bool, serde_json::Error> {
    let (one, other) = (one.get(), other.get());
    if one == other {
        return Ok(true);
    }
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            let (one, other): (Members<'_>, Members<'_>) = (serde_json::from_str(one)?, serde_json::from_str(other)?);
            if !one.keys().eq(other.keys()) {
                return Ok(false);
            }
            all_same(one.values().zip(other.values()))
        }
        (Some(b'['), Some(b'[')) => {
            let (one, other): (Vec<&RawValue>, Vec<&RawValue>) =
                (serde_json::from_str(one)?, serde_json::from_str(other)?);
            if one.len() != other.len() {
                return Ok(false);
            }
            all_same(one.iter().zip(&other))
        }
        (Some(b'"'), Some(b'"')) => {
            Ok(serde_json::from_str::<Cow<'_, str>>(one)? == serde_json::from_str::<Cow<'_, str>>(other)?)
        }
        _ => Ok(false),
    }
}

fn all_same<'a>(pairs: impl Iterator<Item = (&'a &'a RawValue, &'a &'a RawValue)>) -> Result<bool, serde_json::Error> {
    for (one, other) in pairs {
        if !is_same(one, other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The keys of either side, each once, sorted.
fn keys<'k, V>(from: &'k Members<'_, V>, to: &'k Members<'_, V>) -> std::collections::BTreeSet<&'k str> {
    from.keys().chain(to.keys()).map(AsRef::as_ref).collect()
}

/// The path of a member.
fn below(path: &str, key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if key.bytes().all(is_plain) && key.bytes().next().is_some_and(|byte| !byte.is_ascii_digit()) {
        format!("{path}.{key}")
    } else {
        format!("{path}[{}]", serde_json::Value::from(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(from: &str, to: &str) -> String {
        let [from, to] = [from, to].map(|text| serde_json::from_str::<Option<&RawValue>>(text).unwrap());
        serde_json::to_string(&Differences::between(from, to).unwrap()).unwrap()
    }

    #[test]
    fn columns_that_differ_are_given_with_both_values() {
        assert_eq!(
            differences(
                r#"{"status":"running","ended_at":null,"duration_ms":null,"channel":"web"}"#,
                r#"{"status":"completed","ended_at":"2026-03-01T10:00:00Z","duration_ms":null,"channel":"web"}"#
            ),
            r#"{"ended_at":[null,"2026-03-01T10:00:00Z"],"status":["running","completed"]}"#
        );
    }

    #[test]
    fn objects_are_compared_key_by_key_at_any_depth() {
        assert_eq!(
            differences(
                r#"{"context":{"a":1,"b":{"c":1,"d":[1,2]},"gone":true}}"#,
                r#"{"context":{"a":1,"b":{"c":2,"d":[1,3]},"x.y":null,"1":"\n"}}"#
            ),
            r#"{"context[\"1\"]":[null,"\n"],"context.b.c":[1,2],"context.b.d":[[1,2],[1,3]],"context.gone":[true,null],"context[\"x.y\"]":[null,null]}"#
        );
    }

    #[test]
    fn an_object_in_place_of_something_else_differs_as_a_whole() {
        assert_eq!(
            differences(r#"{"input_data":[1]}"#, r#"{"input_data":{"a":1}}"#),
            r#"{"input_data":[[1],{"a":1}]}"#
        );
        assert_eq!(differences(r#"{"output_data":null}"#, r#"{"output_data":{}}"#), r#"{"output_data":[null,{}]}"#);
    }

    #[test]
    fn elements_of_lists_are_known_by_their_events() {
        assert_eq!(
            differences(
                r#"{"events":[{"n":1,"event_id":"a"},{"n":2,"event_id":"b"}]}"#,
                r#"{"events":[{"n":2,"event_id":"b"},{"n":3,"event_id":"c"}]}"#
            ),
            r#"{"events.a":[{"n":1,"event_id":"a"},null],"events.c":[null,{"n":3,"event_id":"c"}]}"#
        );
    }

    #[test]
    fn what_an_event_added_to_a_list_is_compared_as_a_whole() {
        let pictures = |elements: &[&str]| {
            let elements = elements.iter().map(|element| {
                let (event, number) = element.split_at(1);
                format!(r#"{{"n":{number},"event_id":"{event}"}}"#)
            });
            format!(r#"{{"screenshots":[{}]}}"#, elements.collect::<Vec<_>>().join(","))
        };
        assert_eq!(
            differences(&pictures(&["a1"]), &pictures(&["a1", "b1", "b2"])),
            r#"{"screenshots.b":[null,[{"n":1,"event_id":"b"},{"n":2,"event_id":"b"}]]}"#
        );
        // A list that is full drops the first elements of an event and keeps its last ones.
        assert_eq!(
            differences(&pictures(&["a1", "a2", "b1"]), &pictures(&["a2", "b1", "c1"])),
            r#"{"screenshots.a":[[{"n":1,"event_id":"a"},{"n":2,"event_id":"a"}],{"n":2,"event_id":"a"}],"screenshots.c":[null,{"n":1,"event_id":"c"}]}"#
        );
    }

    #[test]
    fn lists_are_compared_in_the_same_way_whether_they_grew_or_changed_otherwise() {
        // Events add one, two and three elements in turn.
        let list = |elements: std::ops::Range<usize>| {
            let elements = elements.map(|element| {
                let event = ["a", "b", "b", "c", "c", "c"][element % 6];
                let event = format!("{event}-{}-", element / 6);
                format!(r#"{{"said":"}},{{","n":{element},"list":[{{}},{{}}],"event_id":"{event}"}}"#)
            });
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        };
        let text = |value: Box<RawValue>| value.get().to_owned();
        let told = |differences: Differences| {
            let told = differences.0.into_iter();
            told.map(|Difference { path, from, to }| (path, from.map(text), to.map(text))).collect::<Vec<_>>()
        };
        let ranges = [0..0, 0..1, 1..2, 0..3, 0..6, 2..6, 2..9, 0..42, 41..42, 30..42, 30..43];
        for (one, other) in ranges.iter().flat_map(|one| ranges.iter().map(move |other| (one, other))) {
            let (from, to) = (list(one.clone()), list(other.clone()));
            let [from_value, to_value] = [&from, &to].map(|list| serde_json::from_str::<&RawValue>(list).unwrap());
            assert_eq!(
                told(Differences::of_lists("events", Some(&from), Some(&to)).unwrap()),
                told(Differences::of_values("events", Some(from_value), Some(to_value)).unwrap()),
                "{one:?} {other:?}"
            );
        }
        assert_eq!(
            dropped_and_added(r#"[{"event_id":"a"},{"event_id":"b"}]"#, r#"[{"event_id":"b"},{"event_id":"c"}]"#),
            Some((r#"{"event_id":"a"}"#, r#"{"event_id":"c"}"#))
        );
        let [one, two] = ["[1]", "[1,2]"];
        assert_eq!(dropped_and_added(one, two), Some(("", "2")));
    }

    #[test]
    fn a_row_that_appears_differs_in_each_column_that_has_a_value() {
        assert_eq!(differences("null", r#"{"a":null,"b":{"c":1}}"#), r#"{"b":[null,{"c":1}]}"#);
        assert_eq!(differences(r#"{"b":[]}"#, "null"), r#"{"b":[[],null]}"#);
        assert_eq!(differences("null", "null"), "{}");
    }

    #[test]
    fn spelling_makes_no_difference_and_digits_do() {
        assert_eq!(differences(r#"{"a":["é",{"x":1,"y":2}]}"#, r#"{"a":[ "\u00e9", {"y":2, "x":1}]}"#), "{}");
        assert_eq!(
            differences(r#"{"a":1.0,"b":12345678901234567890.10}"#, r#"{"a":1.00,"b":12345678901234567890.11}"#),
            r#"{"a":[1.0,1.00],"b":[12345678901234567890.10,12345678901234567890.11]}"#
        );
    }
}

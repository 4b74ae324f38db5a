//! What old rows said against what the read models say.

use std::collections::{HashMap, HashSet};

use chrono::DateTime;
use events::id::StepId;
use serde_json::Value as Json;

use super::{
    Reject, Translated,
    translation::{self, Place, Value},
};

/// So much of a value is shown.
const SHOWN_LENGTH_MAX: usize = 200;

/// A value that is not what the old row had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub table: &'static str,
    pub key: String,
    pub column: String,
    pub old: String,
    pub new: String,
    /// Why, if that is as it has to be.
    pub reason: Option<String>,
}

impl Difference {
    pub const COLUMNS: [&str; 6] = ["table", "key", "column", "old", "new", "reason"];

    pub fn fields(&self) -> [String; 6] {
        let Self { table, key, column, old, new, reason } = self.clone();
        let reason = reason.unwrap_or_else(|| "unexplained: the old row has changed since it was imported, or an event did not arrive, or something else tells of this run".to_owned());
        [table.to_owned(), key, column, old, new, reason]
    }
}

/// Compares the values of a trace with the row that its run has, `steps` included, and names what was refused besides.
/// Returns how many there were too.
pub fn compare(translated: &Translated, run: Option<&Json>, absent: Option<&str>) -> (usize, Vec<Difference>) {
    let (mut values, mut differences) = compare_values(translated, run, absent);
    let place = |it: &Difference| (it.table, it.key.clone(), it.column.clone());
    let mut noted: HashSet<_> = differences.iter().map(place).collect();
    for Reject { table, key, part, code, .. } in &translated.rejects {
        let Some(column) = part.clone() else { continue };
        let reason = Some(format!("rejected: {code}"));
        let (old, new) = (String::new(), String::new());
        let refused = Difference { table, key: key.clone(), column, old, new, reason };
        if noted.insert(place(&refused)) {
            values += 1;
            differences.push(refused);
        }
    }
    (values, differences)
}

fn compare_values(translated: &Translated, run: Option<&Json>, absent: Option<&str>) -> (usize, Vec<Difference>) {
    let Some(run) = run else {
        let row = translated.values.first();
        let missing = |value: &Value| Difference {
            table: value.table,
            key: value.key.clone(),
            column: String::new(),
            old: "a row".to_owned(),
            new: "none".to_owned(),
            reason: absent.map(str::to_owned),
        };
        return (1, row.map(missing).into_iter().collect());
    };
    let actual = Actual::of(run);
    let mut rejects: HashMap<_, Vec<_>> = HashMap::new();
    for reject in &translated.rejects {
        rejects.entry((reject.table, &*reject.key)).or_default().push(reject);
    }
    let differences = translated.values.iter().filter_map(|value| {
        let of_row = rejects.get(&(value.table, &*value.key)).map_or(&[][..], Vec::as_slice);
        difference(value, of_row, &actual)
    });
    (translated.values.len(), differences.collect())
}

fn difference(value: &Value, rejects: &[&Reject], actual: &Actual<'_>) -> Option<Difference> {
    let found = actual.find(&value.place, &value.old);
    if same(&value.old, &found) {
        return None;
    }
    // What was refused is told in the rejects file, and what has been cut off is in the ledger.
    let refused = || {
        let reject = rejects.iter().find(|reject| explains(reject, value))?;
        Some(format!("rejected: {}", reject.reason))
    };
    let cut_off = || {
        (found.is_null() && actual.is_truncated(&value.place))
            .then(|| "the row has the latest 1,000; the ledger has all".to_owned())
    };
    let reason = value.reason.filter(|_| same(&value.new, &found)).map(str::to_owned);
    Some(Difference {
        table: value.table,
        key: value.key.clone(),
        column: value.column.clone(),
        old: shown(&value.old),
        new: shown(&found),
        reason: reason.or_else(refused).or_else(cut_off),
    })
}

/// Whether what was refused is why the value is not there: the value itself, or an event that carries it. A row that was
/// not taken as a whole has no values, so those of its key are another row's.
fn explains(reject: &Reject, value: &Value) -> bool {
    let Some(part) = &reject.part else { return false };
    let column = match &value.place {
        Place::Run(column) | Place::Step(_, column) => *column,
        Place::Context(_) => "context",
        Place::Listed(..) => "",
    };
    let carried: &[&str] = match part.split_once('.').map(|(_, event)| event) {
        None => &[],
        Some("created") => {
            let elsewhere =
                ["status", "started_at", "ended_at", "error_message", "input_data", "output_data", "retry_count"];
            return !elsewhere.contains(&column) && !column.is_empty();
        }
        Some("started") => &["status", "started_at", "created_at", "input_data", "retry_count"],
        Some("retried") => &["status", "started_at", "created_at", "error_message", "retry_count"],
        Some(_) => &["status", "ended_at", "created_at", "error_message", "output_data", "retry_count"],
    };
    *part == value.column || carried.contains(&column)
}

/// The rows of a run and of its steps.
struct Actual<'a> {
    run: &'a Json,
    steps: HashMap<&'a str, &'a Json>,
    /// Elements of lists, by the step, the list, and each member that is an old key with its value.
    listed: HashMap<(&'a str, &'static str, &'a str, String), Vec<&'a Json>>,
}

impl<'a> Actual<'a> {
    fn of(run: &'a Json) -> Self {
        let steps = run["steps"].as_array().into_iter().flatten();
        let steps: HashMap<_, _> = steps.filter_map(|step| Some((step["step_id"].as_str()?, step))).collect();
        let mut listed: HashMap<_, Vec<_>> = HashMap::new();
        for (step_id, row) in steps.iter().map(|(step_id, row)| (*step_id, *row)).chain([("", run)]) {
            for list in ["events", "screenshots", "endpoints_used"] {
                for element in row[list].as_array().into_iter().flatten() {
                    let members = element.as_object().into_iter().flatten();
                    for (member, key) in members.filter(|(member, _)| member.starts_with("legacy_")) {
                        listed.entry((step_id, list, member.as_str(), key.to_string())).or_default().push(element);
                    }
                }
            }
        }
        Self { run, steps, listed }
    }

    fn row(&self, step_id: Option<StepId>) -> &'a Json {
        match step_id {
            None => self.run,
            Some(step_id) => self.steps.get(&*step_id.to_string()).copied().unwrap_or(&Json::Null),
        }
    }

    /// What stands there. Where a list has several elements of one old key, the one that is expected counts.
    fn find(&self, place: &Place, expected: &Json) -> Json {
        match place {
            Place::Run(column) => canonical(column, &self.run[column]),
            Place::Context(key) => self.run["context"][key].clone(),
            Place::Step(step_id, column) => canonical(column, &self.row(Some(*step_id))[column]),
            Place::Listed(step_id, list, member, legacy_id) => {
                let step_id = step_id.map(|step_id| step_id.to_string()).unwrap_or_default();
                let found = self.listed.get(&(&*step_id, *list, &**member, legacy_id.to_string()));
                let mut found = found.into_iter().flatten().map(|element| said(element));
                let first = found.next().unwrap_or_default();
                if same(&first, expected) { first } else { found.find(|it| same(it, expected)).unwrap_or(first) }
            }
        }
    }

    fn is_truncated(&self, place: &Place) -> bool {
        let Place::Listed(step_id, ..) = place else { return false };
        self.row(*step_id)["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "list_truncated"))
    }
}

/// What an element says, without the id that its event has.
fn said(element: &Json) -> Json {
    let mut element = element.clone();
    if let Json::Object(members) = &mut element {
        members.remove("event_id");
        let time = canonical("time_at", members.get("time").unwrap_or(&Json::Null));
        members.insert("time".to_owned(), time);
    }
    element
}

/// Times are written in one way.
fn canonical(column: &str, value: &Json) -> Json {
    let time =
        value.as_str().filter(|_| column.ends_with("_at")).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    time.map_or_else(|| value.clone(), |at| translation::time(Some(at.to_utc())))
}

/// Whether two JSON values are the same, however their numbers are written.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => match (a.as_i128(), b.as_i128()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn shown(value: &Json) -> String {
    let text = match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= SHOWN_LENGTH_MAX {
        return text;
    }
    text.chars().take(SHOWN_LENGTH_MAX).chain(['…']).collect()
}

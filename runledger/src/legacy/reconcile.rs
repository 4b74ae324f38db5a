//! What old rows said against what the read models say.

use std::collections::HashMap;

use chrono::DateTime;
use events::id::StepId;
use serde_json::Value as Json;

use super::{
    Translated,
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

/// Compares the values of a trace with the row that its run has, `steps` included. Returns how many there were too.
pub fn compare(translated: &Translated, run: Option<&Json>, absent: Option<&str>) -> (usize, Vec<Difference>) {
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
    let differences = translated.values.iter().filter_map(|value| difference(value, translated, &actual));
    (translated.values.len(), differences.collect())
}

fn difference(value: &Value, translated: &Translated, actual: &Actual<'_>) -> Option<Difference> {
    let found = actual.find(&value.place);
    if same(&value.old, &found) {
        return None;
    }
    // What was refused is told in the rejects file, and what has been cut off is in the ledger.
    let refused = || {
        let reject = translated.rejects.iter().find(|reject| reject.table == value.table && reject.key == value.key)?;
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

/// The rows of a run and of its steps.
struct Actual<'a> {
    run: &'a Json,
    steps: HashMap<&'a str, &'a Json>,
}

impl<'a> Actual<'a> {
    fn of(run: &'a Json) -> Self {
        let steps = run["steps"].as_array().into_iter().flatten();
        Self { run, steps: steps.filter_map(|step| Some((step["step_id"].as_str()?, step))).collect() }
    }

    fn row(&self, step_id: Option<StepId>) -> &'a Json {
        match step_id {
            None => self.run,
            Some(step_id) => self.steps.get(&*step_id.to_string()).copied().unwrap_or(&Json::Null),
        }
    }

    fn find(&self, place: &Place) -> Json {
        match place {
            Place::Run(column) => canonical(column, &self.run[column]),
            Place::Context(key) => self.run["context"][key].clone(),
            Place::Step(step_id, column) => canonical(column, &self.row(Some(*step_id))[column]),
            Place::Listed(step_id, list, member, legacy_id) => {
                let elements = self.row(*step_id)[list].as_array().into_iter().flatten();
                let mut found = elements.filter(|element| element[member] == *legacy_id).cloned();
                let mut element = found.next().unwrap_or_default();
                if let Json::Object(members) = &mut element {
                    members.remove("event_id");
                    let time = canonical("time_at", members.get("time").unwrap_or(&Json::Null));
                    members.insert("time".to_owned(), time);
                }
                element
            }
        }
    }

    fn is_truncated(&self, place: &Place) -> bool {
        let Place::Listed(step_id, ..) = place else { return false };
        self.row(*step_id)["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "list_truncated"))
    }
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

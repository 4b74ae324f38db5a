//! Which column says what.

use std::sync::Arc;

use super::{EventLog, LogError};

const CASE: &[&str] = &["case_id", "case", "caseid", "case id", "case:concept:name"];
const ACTIVITY: &[&str] = &["activity", "concept:name", "activity_id", "task"];
const TIME: &[&str] = &["timestamp", "time:timestamp", "time", "complete timestamp", "complete_timestamp"];
const STATUS: &[&str] = &["lifecycle", "lifecycle:transition", "status"];
const RESOURCE: &[&str] = &["resource", "org:resource"];

/// Column names as given; none for the usual one.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames {
    pub case: Option<String>,
    pub activity: Option<String>,
    pub time: Option<String>,
    pub status: Option<String>,
}

/// The columns of a log.
pub struct Columns {
    pub case: String,
    pub activity: String,
    pub time: String,
    pub status: Option<String>,
    pub resource: Option<String>,
}

impl Columns {
    /// Those of a CSV file with this header.
    pub fn of_header(names: &ColumnNames, header: &[Arc<str>], log: &EventLog) -> Result<Self, LogError> {
        let find = |given: &Option<String>, usual: &[&str]| match given {
            Some(name) => find(header, name),
            None => usual.iter().find_map(|name| find(header, name)),
        };
        let missing = |what: &str, given: &Option<String>| LogError::NoColumn {
            path: log.path.clone(),
            what: given.as_ref().map_or_else(|| format!("for the {what}"), |name| format!("{name:?} for the {what}")),
            columns: header.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
            advice: advice(header, what, log.delimiter),
        };
        let status = find(&names.status, STATUS);
        if names.status.is_some() && status.is_none() {
            return Err(missing("status", &names.status));
        }
        Ok(Self {
            case: find(&names.case, CASE).ok_or_else(|| missing("case", &names.case))?,
            activity: find(&names.activity, ACTIVITY).ok_or_else(|| missing("activity", &names.activity))?,
            time: find(&names.time, TIME).ok_or_else(|| missing("time", &names.time))?,
            status,
            resource: find(&None, RESOURCE),
        })
    }

    /// Those of an XES file: its standard extensions name them.
    pub fn of_xes(names: &ColumnNames) -> Self {
        let name = |given: &Option<String>, standard: &str| given.clone().unwrap_or_else(|| standard.to_owned());
        Self {
            case: name(&names.case, "case:concept:name"),
            activity: name(&names.activity, "concept:name"),
            time: name(&names.time, "time:timestamp"),
            status: Some(name(&names.status, "lifecycle:transition")),
            resource: Some("org:resource".to_owned()),
        }
    }
}

fn find(header: &[Arc<str>], name: &str) -> Option<String> {
    let exactly = header.iter().find(|column| &***column == name);
    exactly.or_else(|| header.iter().find(|column| column.eq_ignore_ascii_case(name))).map(|name| name.to_string())
}

/// A header of one column that has another delimiter in it was split by the wrong one.
fn advice(header: &[Arc<str>], what: &str, delimiter: u8) -> String {
    let others = [',', ';', '\t', '|'].into_iter().filter(|other| *other as u8 != delimiter);
    let used = others.into_iter().find(|other| header.len() == 1 && header[0].contains(*other));
    match used {
        Some('\t') => "is the delimiter a tab? then pass --delimiter '\\t'".to_owned(),
        Some(other) => format!("is the delimiter {other:?}? then pass --delimiter '{other}'"),
        None => format!("say which it is with --{what}"),
    }
}

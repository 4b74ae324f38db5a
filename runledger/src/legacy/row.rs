//! A row of an old table: the texts of its columns, and what they say.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Code, json,
    payload::value::{Json, Object},
};

use super::{
    Reject,
    table::{TRACE_ID, Table},
};
use crate::event_log::time;

/// A value has at most so many bytes: it has to fit into one message, and others with it.
pub const VALUE_BYTES_MAX: usize = 900 * 1024;
/// What a row's columns without a meaning here are called together.
const EXTRA: &str = "other columns";

/// A row as PostgreSQL writes it.
#[derive(Clone, Debug)]
pub struct Row {
    pub table: &'static Table,
    /// Those that are not null, by the column's name; none of those that are too long.
    fields: BTreeMap<&'static str, Vec<u8>>,
    too_long: Vec<&'static str>,
    /// What else the row has, as a JSON object.
    extra: Option<Vec<u8>>,
}

impl Row {
    pub fn new(table: &'static Table, fields: BTreeMap<&'static str, Vec<u8>>, extra: Option<Vec<u8>>) -> Self {
        let is_short = |value: &Vec<u8>| value.len() <= VALUE_BYTES_MAX;
        let (fields, cut): (BTreeMap<_, _>, BTreeMap<_, _>) =
            fields.into_iter().partition(|(_, value)| is_short(value));
        let mut too_long: Vec<_> = cut.into_keys().collect();
        too_long.extend(extra.as_ref().filter(|extra| !is_short(extra)).map(|_| EXTRA));
        Self { table, fields, too_long, extra: extra.filter(is_short) }
    }

    /// Whether there is nothing in the column.
    pub fn is_null(&self, column: &str) -> bool {
        !self.fields.contains_key(column) && !self.too_long.contains(&column)
    }

    /// Why the row is not taken, if its primary key is null or among those that other rows have.
    pub fn own_key(&self, keys: &mut HashSet<(&'static str, String)>) -> Result<(), Reject> {
        let (column, key) = (self.table.key, self.key());
        if key.is_empty() {
            return Err(self.reject("no_key", format!("its {column} is null, empty or too long")));
        }
        if !keys.insert((self.table.name, key)) {
            return Err(self.reject("duplicate_key", format!("another row that belongs here has its {column}")));
        }
        Ok(())
    }

    /// Its primary key, as text; empty if it is null.
    pub fn key(&self) -> String {
        self.fields.get(self.table.key).map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default()
    }

    /// The trace that it belongs to.
    pub fn trace_id(&self) -> Option<i64> {
        self.id(TRACE_ID)
    }

    /// A column that is an integer by the table's shape.
    pub fn id(&self, column: &str) -> Option<i64> {
        std::str::from_utf8(self.fields.get(column)?).ok()?.parse().ok()
    }

    /// The whole row is not taken.
    pub fn reject(&self, code: &'static str, reason: impl Into<String>) -> Reject {
        self.complaint(None, code, reason)
    }

    /// The row is taken without this column, or without this event.
    pub fn reject_part(&self, part: &str, code: &'static str, reason: impl Into<String>) -> Reject {
        self.complaint(Some(part.to_owned()), code, reason)
    }

    fn complaint(&self, part: Option<String>, code: &'static str, reason: impl Into<String>) -> Reject {
        let (table, key, trace_id) = (self.table.name, self.key(), self.trace_id());
        Reject { table, key, trace_id, part, code, reason: reason.into() }
    }

    /// A text.
    pub fn text(&self, column: &'static str, rejects: &mut Vec<Reject>) -> Option<&str> {
        rejects.extend(self.too_long(column));
        let text = std::str::from_utf8(self.fields.get(column)?);
        if text.is_err() {
            rejects.push(self.reject_part(column, Code::InvalidUtf8.as_str(), "it is not UTF-8"));
        }
        text.ok()
    }

    fn too_long(&self, column: &'static str) -> Option<Reject> {
        let reason = format!("it has more than {VALUE_BYTES_MAX} bytes");
        self.too_long.contains(&column).then(|| self.reject_part(column, Code::TooComplex.as_str(), reason))
    }

    /// A text that is not empty.
    pub fn word(&self, column: &'static str, rejects: &mut Vec<Reject>) -> Option<&str> {
        self.text(column, rejects).filter(|text| !text.is_empty())
    }

    /// A time; without a zone it is UTC. `now` is the ledger's measure of the future.
    pub fn time(&self, column: &'static str, now: DateTime<Utc>, rejects: &mut Vec<Reject>) -> Option<DateTime<Utc>> {
        let text = self.text(column, rejects)?;
        match time::parse(text, None) {
            Ok(time) if time <= now + TimeDelta::days(1) => Some(time),
            Ok(_) => {
                rejects.push(self.reject_part(
                    column,
                    Code::TimeInFuture.as_str(),
                    format!("{text:?} lies in the future"),
                ));
                None
            }
            Err(_) => {
                let reason = format!("{text:?} is no time of the years 1 to 9999");
                rejects.push(self.reject_part(column, Code::InvalidTime.as_str(), reason));
                None
            }
        }
    }

    /// An integer of 32 bits, at least this.
    pub fn number(&self, column: &'static str, least: i32, rejects: &mut Vec<Reject>) -> Option<i32> {
        let text = self.text(column, rejects)?;
        let number = text.parse().ok().filter(|number| *number >= least);
        if number.is_none() {
            let reason = format!("{text:?} is no integer from {least} to {}", i32::MAX);
            rejects.push(self.reject_part(column, Code::NumberOutOfRange.as_str(), reason));
        }
        number
    }

    /// A JSON value; text that is no JSON is a JSON text.
    pub fn json(&self, column: &'static str, rejects: &mut Vec<Reject>) -> Option<Json> {
        let text = self.text(column, rejects)?;
        let refused = |code: Code, reason: String| self.reject_part(column, code.as_str(), reason);
        let json = match json::check_text(text) {
            Ok(()) => serde_json::from_str(text).map_err(|error| refused(Code::MalformedJson, error.to_string())),
            Err(fault) if fault.code == Code::MalformedJson => {
                Json::of(&text).map_err(|error| refused(Code::MalformedJson, error.to_string()))
            }
            Err(fault) => Err(refused(fault.code, fault.to_string())),
        };
        json.map_err(|reject| rejects.push(reject)).ok().filter(|json| json.as_str() != "null")
    }

    /// The columns that have no meaning here and are not null, by their names.
    pub fn extra(&self, rejects: &mut Vec<Reject>) -> Object {
        rejects.extend(self.too_long(EXTRA));
        let Some(extra) = &self.extra else { return Object::default() };
        let (code, reason) = match json::check(extra) {
            Err(fault) => (fault.code, fault.to_string()),
            Ok(()) => match serde_json::from_slice::<Object>(extra) {
                Ok(extra) => return extra.into_iter().filter(|(_, value)| value.as_str() != "null").collect(),
                Err(error) => (Code::MalformedJson, error.to_string()),
            },
        };
        rejects.push(self.reject_part(EXTRA, code.as_str(), reason));
        Object::default()
    }
}

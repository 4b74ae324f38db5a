//! A row of an old table: the texts of its columns, and what they say.

use std::collections::BTreeMap;

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
const VALUE_BYTES_MAX: usize = 900 * 1024;

/// A row as PostgreSQL writes it.
#[derive(Clone, Debug)]
pub struct Row {
    pub table: &'static Table,
    /// Those that are not null, by the column's name.
    fields: BTreeMap<&'static str, Vec<u8>>,
    /// What else the row has, as a JSON object.
    extra: Option<Vec<u8>>,
}

impl Row {
    pub fn new(table: &'static Table, fields: BTreeMap<&'static str, Vec<u8>>, extra: Option<Vec<u8>>) -> Self {
        Self { table, fields, extra }
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
        let text = std::str::from_utf8(self.fields.get(column)?);
        if text.is_err() {
            rejects.push(self.reject_part(column, Code::InvalidUtf8.as_str(), "it is not UTF-8"));
        }
        text.ok()
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
            _ if text.len() > VALUE_BYTES_MAX => {
                Err(refused(Code::TooComplex, format!("it has {} bytes, more than {VALUE_BYTES_MAX}", text.len())))
            }
            Ok(()) => serde_json::from_str(text).map_err(|error| refused(Code::MalformedJson, error.to_string())),
            Err(fault) if fault.code == Code::MalformedJson => {
                Json::of(&text).map_err(|error| refused(Code::MalformedJson, error.to_string()))
            }
            Err(fault) => Err(refused(fault.code, fault.to_string())),
        };
        json.map_err(|reject| rejects.push(reject)).ok().filter(|json| json.as_str() != "null")
    }

    /// A text as it can stand in a message.
    pub fn message(&self, column: &'static str, rejects: &mut Vec<Reject>) -> Option<&str> {
        let text = self.word(column, rejects)?;
        if text.len() <= VALUE_BYTES_MAX {
            return Some(text);
        }
        let reason = format!("it has {} bytes, more than {VALUE_BYTES_MAX}", text.len());
        rejects.push(self.reject_part(column, Code::TooComplex.as_str(), reason));
        None
    }

    /// The columns that have no meaning here and are not null, by their names.
    pub fn extra(&self, rejects: &mut Vec<Reject>) -> Object {
        let Some(extra) = &self.extra else { return Object::default() };
        let refused = match json::check(extra) {
            _ if extra.len() > VALUE_BYTES_MAX => format!("they have {} bytes", extra.len()),
            Err(fault) => fault.to_string(),
            Ok(()) => match serde_json::from_slice::<Object>(extra) {
                Ok(extra) => return extra.into_iter().filter(|(_, value)| value.as_str() != "null").collect(),
                Err(error) => error.to_string(),
            },
        };
        rejects.push(self.reject_part("other columns", Code::UnstorableText.as_str(), refused));
        Object::default()
    }
}

//! What hangs on a trace or on one of its steps: log lines, screenshots, context, endpoints, data bindings.
//!
//! Read models have a place for log lines and screenshots of steps only; those of the trace itself become events that
//! stay in the ledger.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    id::{EndpointId, StepId},
    payload::{
        RunContextAdded, RunEndpointUsed, StepEventLogged, StepScreenshotCaptured,
        value::{Json, Object},
    },
};
use serde_json::Value;

use super::{
    Reject,
    row::Row,
    run::LEGACY,
    step::Steps,
    trace::Trace,
    translation::{Place, Translation, time, value_of},
};

/// The type of the events that log lines of a trace become.
const RUN_EVENT: &str = "custom.legacy_event";
/// The type of the events that screenshots of a trace become.
const RUN_SCREENSHOT: &str = "custom.legacy_screenshot";
/// What the keys of data bindings begin with in the run's context.
const BINDINGS: &str = "bindings.";

/// Tells of all that hangs on the trace; `steps` are those that were taken.
pub fn tell(translation: &mut Translation<'_>, trace: &Trace, steps: &Steps) -> anyhow::Result<()> {
    let mut telling = Telling { translation, steps, keys: HashSet::new() };
    for row in telling.with_keys(trace.events()) {
        telling.event(row)?;
    }
    for row in telling.with_keys(trace.screenshots()) {
        telling.screenshot(row)?;
    }
    for row in telling.with_keys(trace.endpoints()) {
        telling.endpoint(row)?;
    }
    let mut context = Vec::new();
    for row in telling.with_keys(trace.context()) {
        context.extend(telling.context(row, "key", |key| match key {
            // What these stand for is not what the old system meant.
            LEGACY | "$protected" => format!("context.{key}"),
            _ => key.to_owned(),
        })?);
    }
    for row in telling.with_keys(trace.bindings()) {
        if row.id("step_id").is_some() {
            telling.binding_of_step(row)?;
        } else {
            context.extend(telling.context(row, "name", |name| format!("{BINDINGS}{name}"))?);
        }
    }
    telling.context_in_order(context)
}

/// A key of the run's context, as one row has it.
struct Member<'a> {
    row: &'a Row,
    key: String,
    value: Json,
    time: DateTime<Utc>,
}

struct Telling<'a, 't> {
    translation: &'a mut Translation<'t>,
    steps: &'a Steps,
    /// Tables and primary keys of the rows that were told of.
    keys: HashSet<(&'static str, String)>,
}

/// Whose a row is.
enum Owner {
    Run,
    Step(StepId),
}

impl Telling<'_, '_> {
    /// The rows that have a key of their own; the others are rejected.
    fn with_keys<'r>(&mut self, rows: impl Iterator<Item = &'r Row>) -> Vec<&'r Row> {
        let mut kept = Vec::new();
        for row in rows {
            match row.own_key(&mut self.keys) {
                Ok(()) => kept.push(row),
                Err(reject) => self.translation.rejects.push(reject),
            }
        }
        kept
    }

    /// Whose the row is; none if it is a step's that was not taken: then it is rejected.
    fn owner(&mut self, row: &Row) -> Option<Owner> {
        let Some(old_id) = row.id("step_id") else { return Some(Owner::Run) };
        let step_id = self.steps.get(&old_id);
        if step_id.is_none() {
            let reason = format!("its trace has no step {old_id}, or that was rejected");
            self.translation.rejects.push(row.reject("orphan", reason));
        }
        step_id.copied().map(Owner::Step)
    }

    /// A time that the row has to have; without it the row is rejected.
    fn time(&mut self, row: &Row, column: &'static str) -> Option<DateTime<Utc>> {
        let mut rejects = Vec::new();
        let time = row.time(column, self.translation.target.now, &mut rejects);
        if time.is_none() {
            let why = rejects.pop();
            let (code, reason) = why.map_or_else(
                || ("no_time", format!("its {column} is null")),
                |reject| (reject.code, format!("{column}: {}", reject.reason)),
            );
            self.translation.rejects.push(row.reject(code, reason));
        }
        time
    }

    /// A text that the row has to have; without it the row is rejected.
    fn text<'r>(&mut self, row: &'r Row, column: &'static str) -> Option<&'r str> {
        let text = row.word(column, &mut Vec::new());
        if text.is_none() {
            self.translation
                .rejects
                .push(row.reject("no_value", format!("its {column} is null, empty or no text of 900 KiB")));
        }
        text
    }

    fn event(&mut self, row: &Row) -> anyhow::Result<()> {
        let Some(owner) = self.owner(row) else { return Ok(()) };
        let Some(at) = self.time(row, "created_at") else { return Ok(()) };
        let mut event = self.element(row)?;
        if let Some(event_type) = row.word("event_type", &mut self.translation.rejects) {
            event.insert("event_type", Json::of(&event_type)?);
        }
        if let Some(payload) = row.json("payload", &mut self.translation.rejects) {
            event.insert("payload", payload);
        }
        match owner {
            Owner::Run => self.translation.tell_custom(row, RUN_EVENT, at, &event).map(drop),
            Owner::Step(step_id) => self.log(row, step_id, at, event),
        }
    }

    fn log(&mut self, row: &Row, step_id: StepId, at: DateTime<Utc>, event: Object) -> anyhow::Result<()> {
        let logged = StepEventLogged { step_id, event: event.clone() };
        if self.translation.tell(row, Some(step_id), at, &logged, true)? {
            self.listed(row, Some(step_id), "events", at, &event)?;
        }
        Ok(())
    }

    fn screenshot(&mut self, row: &Row) -> anyhow::Result<()> {
        let Some(owner) = self.owner(row) else { return Ok(()) };
        let Some(at) = self.time(row, "captured_at") else { return Ok(()) };
        let Some(uri) = self.text(row, "uri") else { return Ok(()) };
        let mut screenshot = self.element(row)?;
        screenshot.insert("uri", Json::of(&uri)?);
        if let Some(sha256) = row.word("sha256", &mut self.translation.rejects) {
            screenshot.insert("sha256", Json::of(&sha256)?);
        }
        let step_id = match owner {
            Owner::Run => return self.translation.tell_custom(row, RUN_SCREENSHOT, at, &screenshot).map(drop),
            Owner::Step(step_id) => step_id,
        };
        let captured = StepScreenshotCaptured { step_id, screenshots: vec![screenshot.clone()] };
        if self.translation.tell(row, Some(step_id), at, &captured, true)? {
            self.listed(row, Some(step_id), "screenshots", at, &screenshot)?;
        }
        Ok(())
    }

    fn endpoint(&mut self, row: &Row) -> anyhow::Result<()> {
        let Some(at) = self.time(row, "used_at") else { return Ok(()) };
        let Some(text) = self.text(row, "endpoint_id") else { return Ok(()) };
        let (endpoint_id, is_itself) = self.translation.id_of::<EndpointId>("endpoint", text)?;
        let mut endpoint = self.element(row)?;
        endpoint.insert("endpoint_id", Json::of(&endpoint_id)?);
        if !is_itself {
            endpoint.insert("legacy_endpoint_id", Json::of(&text)?);
        }
        if self.translation.tell(row, None, at, &RunEndpointUsed { endpoint: endpoint.clone() }, true)? {
            self.listed(row, None, "endpoints_used", at, &endpoint)?;
        }
        Ok(())
    }

    fn binding_of_step(&mut self, row: &Row) -> anyhow::Result<()> {
        let Some(Owner::Step(step_id)) = self.owner(row) else { return Ok(()) };
        let Some(at) = self.time(row, "created_at") else { return Ok(()) };
        let Some(name) = self.text(row, "name") else { return Ok(()) };
        let mut event = self.element(row)?;
        event.insert("event_type", Json::of(&"data_binding")?);
        event.insert("name", Json::of(&name)?);
        if let Some(value) = row.json("value", &mut self.translation.rejects) {
            event.insert("value", value);
        }
        self.log(row, step_id, at, event)
    }

    /// What an element of a list has of any row: its old key and columns that have no meaning here.
    fn element(&mut self, row: &Row) -> anyhow::Result<Object> {
        let mut element = Object::default();
        element.insert(member_of_key(row), Json::of(&legacy_id(row))?);
        let extra = row.extra(&mut self.translation.rejects);
        if !extra.is_empty() {
            element.insert(LEGACY, Json::of(&extra)?);
        }
        Ok(element)
    }

    fn listed(
        &mut self,
        row: &Row,
        step_id: Option<StepId>,
        list: &'static str,
        at: DateTime<Utc>,
        element: &Object,
    ) -> anyhow::Result<()> {
        let mut value = value_of(Some(&Json::of(element)?));
        if let Value::Object(members) = &mut value {
            members.insert("time".to_owned(), time(Some(at)));
        }
        let place = Place::Listed(step_id, list, member_of_key(row), legacy_id(row));
        self.translation.value(row, "", place, value.clone(), value, "");
        Ok(())
    }

    fn context<'r>(
        &mut self,
        row: &'r Row,
        column: &'static str,
        key: impl Fn(&str) -> String,
    ) -> anyhow::Result<Option<Member<'r>>> {
        let Some(time) = self.time(row, "created_at") else { return Ok(None) };
        let Some(name) = self.text(row, column) else { return Ok(None) };
        let known = self.translation.rejects.len();
        let value = row.json("value", &mut self.translation.rejects);
        if let Some(Reject { code, reason, .. }) = self.translation.rejects.split_off(known).pop() {
            self.translation.rejects.push(row.reject(code, format!("value: {reason}")));
            return Ok(None);
        }
        let value = value.map_or_else(|| Json::of(&Value::Null), Ok)?;
        Ok(Some(Member { row, key: key(name), value, time }))
    }

    /// Of several rows with one key, the latest counts, and of those of one time the last: these are told a
    /// microsecond apart, because the read model would decide by the events' ids.
    fn context_in_order(&mut self, mut members: Vec<Member<'_>>) -> anyhow::Result<()> {
        members.sort_by(|a, b| (&a.key, a.time).cmp(&(&b.key, b.time)));
        for place in 1..members.len() {
            let [before, member] = &mut members[place - 1..=place] else { continue };
            if before.key == member.key {
                member.time = member.time.max(before.time + TimeDelta::microseconds(1));
            }
        }
        for (place, member) in members.iter().enumerate() {
            let context = [(member.key.clone(), member.value.clone())].into_iter().collect();
            let is_taken = self.translation.tell(member.row, None, member.time, &RunContextAdded { context }, true)?;
            let counts = members.get(place + 1).is_none_or(|next| next.key != member.key);
            if is_taken && counts {
                let value = value_of(Some(&member.value));
                self.translation.value(
                    member.row,
                    "value",
                    Place::Context(member.key.clone()),
                    value.clone(),
                    value,
                    "",
                );
            }
        }
        Ok(())
    }
}

/// The row's primary key as JSON: a number if it is one.
fn legacy_id(row: &Row) -> Value {
    let key = row.key();
    key.parse::<i64>().map_or_else(|_| key.into(), Value::from)
}

/// What an element calls the primary key of its row.
fn member_of_key(row: &Row) -> String {
    format!("legacy_{}", row.table.key)
}

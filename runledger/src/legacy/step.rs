//! Steps of a trace as the events of a run's steps.

use std::collections::{HashMap, hash_map::Entry};

use chrono::{DateTime, Utc};
use events::{
    id::{NodeId, StepId},
    payload::{
        StepCompleted, StepCreated, StepFailed, StepRetried, StepSkipped, StepStarted,
        value::{Json, Object},
    },
};
use serde_json::{Value, json};

use super::{
    course::Course,
    row::Row,
    run::{DERIVED_ID, FIRST_HEARD_OF, LEGACY, MESSAGE_OF_NO_ERROR, NO_MESSAGE, NO_MORE, OTHER_STATUS},
    status::Status,
    trace::Trace,
    translation::{Place, Translation, time, value_of},
};

pub const NO_START: &str = "it has not started: its input_data is kept under legacy";
pub const NO_COMPLETION: &str = "only what is completed has an output: its output_data is kept under legacy";

/// The trace's steps that are taken, by their old ids.
pub type Steps = HashMap<i64, StepId>;

/// Tells of all steps of the trace; `created` is when the run was made.
pub fn tell(translation: &mut Translation<'_>, trace: &Trace, created: DateTime<Utc>) -> anyhow::Result<Steps> {
    let mut steps = Steps::new();
    for row in trace.steps() {
        let Some(old_id) = row.id("step_id") else {
            translation.rejects.push(row.reject("no_key", "its step_id is null"));
            continue;
        };
        let Entry::Vacant(place) = steps.entry(old_id) else {
            translation.rejects.push(row.reject("duplicate_key", "another row of its trace has its step_id"));
            continue;
        };
        if let Some(step_id) = tell_one(translation, row, old_id, created)? {
            place.insert(step_id);
        }
    }
    Ok(steps)
}

/// Tells of a step, if its row can be taken.
fn tell_one(
    translation: &mut Translation<'_>,
    row: &Row,
    old_id: i64,
    created: DateTime<Utc>,
) -> anyhow::Result<Option<StepId>> {
    let words = row.text("status", &mut translation.rejects).unwrap_or_default().to_owned();
    let Some(status) = translation.target.statuses.of(&words) else {
        let reason = format!("its status is {words:?}; say what that means with --status {words:?}=STATUS");
        translation.rejects.push(row.reject("unknown_status", reason));
        return Ok(None);
    };
    let now = translation.target.now;
    let Some(course) = Course::of(row, status, Some(created), now, &mut translation.rejects) else { return Ok(None) };
    let step_id = translation.step_id(old_id)?;
    let attempt = row.number("retry_count", 0, &mut translation.rejects).unwrap_or(0);
    Step { translation, row, course, step_id, attempt, legacy: Object::default() }.tell(old_id, &words)?;
    Ok(Some(step_id))
}

struct Step<'a, 't> {
    translation: &'a mut Translation<'t>,
    row: &'a Row,
    course: Course,
    step_id: StepId,
    /// The old row tells of the last one only.
    attempt: i32,
    /// What the read model has no column for.
    legacy: Object,
}

impl Step<'_, '_> {
    fn tell(mut self, old_id: i64, words: &str) -> anyhow::Result<()> {
        let mut created = StepCreated {
            step_id: self.step_id,
            node_id: self.node_id()?,
            step_number: self.row.number("step_number", i32::MIN, &mut self.translation.rejects),
            metadata: None,
            legacy_step_id: Some(old_id),
        };
        let name = self.row.word("step_name", &mut self.translation.rejects).map(|name| Json::of(&name)).transpose()?;
        for (column, value) in self.row.extra(&mut self.translation.rejects) {
            self.legacy.insert(column, value);
        }
        // What is known of the step from the beginning, and what its row says in the end beside that.
        let first = metadata(name.as_ref(), &self.legacy)?;
        self.numbers(old_id, created.step_number);
        self.start()?;
        self.end()?;
        for (column, time) in self.course.unsaid() {
            self.keep(column, &events::time::format(time))?;
        }
        self.course_values(words);
        if self.course.status.name() != self.course.status.of_step() || metadata(name.as_ref(), &self.legacy)? != first
        {
            self.keep("status", &words)?;
        }
        let last = metadata(name.as_ref(), &self.legacy)?;
        let is_later = self.course.as_of() > self.course.created;
        created.metadata = if is_later { first.clone() } else { last.clone() };
        self.say(self.course.created, &created)?;
        if is_later && last != first {
            created.metadata = last.clone();
            self.say(self.course.as_of(), &created)?;
        }
        self.metadata_value(last.as_ref())?;
        // Where the old row does not say when it was made, there is nothing to compare.
        if let Some(created_at) = self.course.created_at {
            let first_heard_of = self.translation.earliest(Some(self.step_id));
            self.value("created_at", "created_at", time(Some(created_at)), first_heard_of, FIRST_HEARD_OF);
        }
        Ok(())
    }

    fn say<T: events::EventData>(&mut self, at: DateTime<Utc>, payload: &T) -> anyhow::Result<bool> {
        self.translation.tell(self.row, Some(self.step_id), at, payload, false)
    }

    fn keep(&mut self, column: &str, value: &impl serde::Serialize) -> anyhow::Result<()> {
        self.legacy.insert(column, Json::of(value)?);
        Ok(())
    }

    fn value(&mut self, old_column: &str, column: &'static str, old: Value, new: Value, reason: &'static str) {
        self.translation.value(self.row, old_column, Place::Step(self.step_id, column), old, new, reason);
    }

    fn node_id(&mut self) -> anyhow::Result<Option<NodeId>> {
        const COLUMN: &str = "node_id";
        let Some(text) = self.row.word(COLUMN, &mut self.translation.rejects).map(str::to_owned) else {
            return Ok(None);
        };
        let (id, is_itself) = self.translation.id_of::<NodeId>("node", &text)?;
        let new = Value::from(id.to_string());
        let old = if is_itself { new.clone() } else { text.clone().into() };
        if !is_itself {
            self.keep(COLUMN, &text)?;
        }
        self.value(COLUMN, COLUMN, old, new, DERIVED_ID);
        Ok(Some(id))
    }

    fn numbers(&mut self, old_id: i64, step_number: Option<i32>) {
        self.value("step_id", "legacy_step_id", old_id.into(), old_id.into(), "");
        self.value("step_number", "step_number", step_number.into(), step_number.into(), "");
        self.value("retry_count", "retry_count", self.attempt.into(), self.attempt.into(), "");
    }

    fn start(&mut self) -> anyhow::Result<()> {
        const COLUMN: &str = "input_data";
        let input_data = self.row.json(COLUMN, &mut self.translation.rejects);
        let old = value_of(input_data.as_ref());
        if let Some(at) = self.course.started() {
            let (step_id, attempt) = (self.step_id, self.attempt);
            let started =
                StepStarted { step_id, attempt, node_id: None, step_number: None, input_data, metadata: None };
            self.value(COLUMN, COLUMN, old.clone(), old, "");
            self.say(at, &started)?;
            return Ok(());
        }
        if let Some(input_data) = input_data {
            self.legacy.insert(COLUMN, input_data);
        }
        self.value(COLUMN, COLUMN, old, Value::Null, NO_START);
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let (step_id, attempt, status) = (self.step_id, self.attempt, self.course.status);
        let message = self.row.word("error_message", &mut self.translation.rejects).map(str::to_owned);
        let output_data = self.row.json("output_data", &mut self.translation.rejects);
        let output = value_of(output_data.as_ref());
        let is_completed = status == Status::Completed;
        let has_output = if is_completed { output.clone() } else { Value::Null };
        self.value("output_data", "output_data", output, has_output, NO_COMPLETION);
        if let Some(output_data) = output_data.clone().filter(|_| !is_completed) {
            self.legacy.insert("output_data", output_data);
        }
        let old = Value::from(message.clone());
        let is_retry = status == Status::Pending && attempt > 0;
        if !is_retry && matches!(status, Status::Pending | Status::Running | Status::Completed) {
            if let Some(message) = &message {
                self.keep("error_message", message)?;
            }
            self.value("error_message", "error_message", old, Value::Null, MESSAGE_OF_NO_ERROR);
            if let Some(at) = self.course.ended() {
                self.say(at, &StepCompleted { step_id, attempt, output_data })?;
            }
            return Ok(());
        }
        let at = self.course.as_of();
        let new = match status {
            Status::Failed | Status::TimedOut => {
                let said = message.unwrap_or_else(|| NO_MORE.to_owned());
                let error_message = said.as_str().into();
                self.say(at, &StepFailed { step_id, attempt, error_message, error_details: None })?;
                Some(said)
            }
            Status::Pending => {
                let error_message = message.clone().map(Into::into);
                self.say(at, &StepRetried { step_id, attempt, error_message })?;
                message
            }
            _ => {
                self.say(at, &StepSkipped { step_id, attempt, reason: message.clone().map(Into::into) })?;
                message
            }
        };
        self.value("error_message", "error_message", old, new.into(), NO_MESSAGE);
        Ok(())
    }

    fn course_values(&mut self, words: &str) {
        let course = self.course;
        let new = course.status.of_step();
        let old = if course.status.name() == new { new } else { words };
        self.value("status", "status", old.into(), new.into(), OTHER_STATUS);
        self.value("start_time", "started_at", time(course.start_time), time(course.started()), course.start_reason());
        self.value("end_time", "ended_at", time(course.end_time), time(course.ended()), course.end_reason());
    }

    fn metadata_value(&mut self, metadata: Option<&Object>) -> anyhow::Result<()> {
        let metadata = match metadata {
            Some(metadata) => value_of(Some(&Json::of(metadata)?)),
            None => json!({}),
        };
        self.value("step_name and other columns", "metadata", metadata.clone(), metadata, "");
        Ok(())
    }
}

/// The step's name and what the read model has no column for; none if there is nothing.
fn metadata(name: Option<&Json>, legacy: &Object) -> anyhow::Result<Option<Object>> {
    let name = name.cloned().map(|name| ("step_name".to_owned(), name));
    let legacy = if legacy.is_empty() { None } else { Some((LEGACY.to_owned(), Json::of(legacy)?)) };
    let metadata: Object = name.into_iter().chain(legacy).collect();
    Ok((!metadata.is_empty()).then_some(metadata))
}

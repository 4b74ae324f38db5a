//! A trace as the events of a run.

use events::payload::{
    RunAttributes, RunCancelled, RunCompleted, RunCreated, RunFailed, RunStarted, RunTimedOut,
    value::{IndexedText, Json, Object},
};
use serde_json::Value;

use super::{
    Reject, attachment,
    course::Course,
    row::Row,
    status::Status,
    step,
    trace::Trace,
    translation::{Place, Target, Translated, Translation, time, value_of},
};

/// The key of the context under which stands what a run's row has no column for.
pub const LEGACY: &str = "legacy";

pub const DERIVED_ID: &str = "it is no UUID: one is derived from it, and it is kept under legacy";
pub const TOO_LONG: &str = "it is longer than the column may be: it is kept under legacy";
pub const NO_OBJECT: &str = "it is no JSON object: it is kept under legacy";
pub const NO_MESSAGE: &str = "it ended badly and has no error_message; the event needs one";
/// What is said where something has to be said of an error.
pub const NO_MORE: &str = "the old row says no more";
pub const MESSAGE_OF_NO_ERROR: &str = "what has not ended badly has no error: its error_message is kept under legacy";
pub const OTHER_STATUS: &str = "the read model has no such status; the old one is kept under legacy";
pub const FIRST_HEARD_OF: &str = "the read model's is the earliest time that any of its rows tells of";

/// The events of a trace and of all that belongs to it, or why there are none.
pub fn translate(target: &Target, trace: &Trace) -> anyhow::Result<Translated> {
    let row = &trace.row;
    let mut rejects = Vec::new();
    let old_org = row.text("org_id", &mut rejects);
    let Some(org_id) = old_org.and_then(|old_org| target.orgs.get(old_org)) else {
        let reason = match old_org {
            Some(old_org) => format!("its org_id is {old_org:?}; give --org-map {old_org:?}=ORG"),
            None => "its org_id is null or no text; give it one by a view and --schema".to_owned(),
        };
        rejects.extend(trace.rows().map(|row| row.reject("unmapped_org", reason.as_str())));
        return Ok(Translated { rejects, ..Translated::default() });
    };
    let words = row.text("status", &mut rejects).unwrap_or_default().to_owned();
    let Some(status) = target.statuses.of(&words) else {
        let reason = format!("its status is {words:?}; say what that means with --status {words:?}=STATUS");
        return Ok(without_trace(trace, rejects, "unknown_status", reason));
    };
    let Some(course) = Course::of(row, status, None, target.now, &mut rejects) else {
        return Ok(without_trace(trace, rejects, "no_time", "none of its times can be used".to_owned()));
    };
    let Some(trace_id) = row.trace_id() else {
        return Ok(without_trace(trace, rejects, "no_key", "its trace_id is null".to_owned()));
    };
    let mut translation = Translation::begin(target, org_id, trace_id)?;
    translation.rejects = rejects;
    Run { translation: &mut translation, row, course, legacy: Object::default() }.tell(trace_id, &words)?;
    let steps = step::tell(&mut translation, trace, course.created)?;
    attachment::tell(&mut translation, trace, &steps)?;
    // Where the old row does not say when it was made, there is nothing to compare.
    if let Some(created_at) = course.created_at {
        let first_heard_of = translation.earliest(None);
        let place = Place::Run("created_at");
        translation.value(row, "created_at", place, time(Some(created_at)), first_heard_of, FIRST_HEARD_OF);
    }
    Ok(translation.finish())
}

/// The old org of the trace, which may be none, if it is not mapped.
pub fn unmapped_org(target: &Target, trace: &Trace) -> Option<Option<String>> {
    let old_org = trace.row.text("org_id", &mut Vec::new());
    old_org.and_then(|old_org| target.orgs.get(old_org)).is_none().then(|| old_org.map(str::to_owned))
}

fn without_trace(trace: &Trace, mut rejects: Vec<Reject>, code: &'static str, reason: String) -> Translated {
    rejects.extend(trace.rows().enumerate().map(|(place, row)| match place {
        0 => row.reject(code, reason.as_str()),
        _ => row.reject("trace_rejected", format!("its trace is rejected: {reason}")),
    }));
    Translated { rejects, ..Translated::default() }
}

struct Run<'a, 't> {
    translation: &'a mut Translation<'t>,
    row: &'a Row,
    course: Course,
    /// What the read model has no column for.
    legacy: Object,
}

impl Run<'_, '_> {
    fn tell(mut self, trace_id: i64, words: &str) -> anyhow::Result<()> {
        self.keep("status", &words)?;
        for (column, time) in self.course.unsaid() {
            self.keep(column, &events::time::format(time))?;
        }
        let known = RunAttributes { legacy_trace_id: Some(trace_id), ..RunAttributes::default() };
        self.translation.tell(self.row, None, self.course.created, &RunCreated(known), false)?;
        self.value("trace_id", "legacy_trace_id", trace_id.into(), trace_id.into(), "");
        if let Some(started) = self.course.started() {
            self.translation.tell(self.row, None, started, &RunStarted::default(), false)?;
        }
        self.end()?;
        self.course_values(words);
        self.attributes()
    }

    fn keep(&mut self, column: &str, value: &impl serde::Serialize) -> anyhow::Result<()> {
        self.legacy.insert(column, Json::of(value)?);
        Ok(())
    }

    fn value(&mut self, old_column: &str, column: &'static str, old: Value, new: Value, reason: &'static str) {
        self.translation.value(self.row, old_column, Place::Run(column), old, new, reason);
    }

    /// What can change while the run goes on is told as of its last update: what the row says later wins.
    fn attributes(mut self) -> anyhow::Result<()> {
        let mut attributes = RunAttributes {
            workflow_id: self.id("workflow_id", "workflow_id", "workflow")?,
            created_by: self.id("user_id", "created_by", "user")?,
            channel: self.indexed("channel")?,
            external_id: self.indexed("external_id")?,
            config_snapshot: self.config_snapshot()?,
            ..RunAttributes::default()
        };
        for (column, value) in self.row.extra(&mut self.translation.rejects) {
            self.legacy.insert(column, value);
        }
        let kept = Json::of(&self.legacy)?;
        attributes.context = Some([(LEGACY.to_owned(), kept.clone())].into_iter().collect());
        self.translation.tell(self.row, None, self.course.as_of(), &RunCreated(attributes), false)?;
        let kept = value_of(Some(&kept));
        self.translation.value(self.row, "other columns", Place::Context(LEGACY.to_owned()), kept.clone(), kept, "");
        Ok(())
    }

    fn id<T>(&mut self, old_column: &'static str, column: &'static str, what: &str) -> anyhow::Result<Option<T>>
    where
        T: TryFrom<uuid::Uuid, Error = events::id::InvalidId> + std::fmt::Display,
    {
        let Some(text) = self.row.word(old_column, &mut self.translation.rejects).map(str::to_owned) else {
            return Ok(None);
        };
        let (id, is_itself) = self.translation.id_of::<T>(what, &text)?;
        let new = id.to_string();
        if is_itself {
            self.value(old_column, column, new.clone().into(), new.into(), "");
        } else {
            self.keep(old_column, &text)?;
            self.value(old_column, column, text.into(), new.into(), DERIVED_ID);
        }
        Ok(Some(id))
    }

    fn indexed(&mut self, column: &'static str) -> anyhow::Result<Option<IndexedText>> {
        let text = self.row.text(column, &mut self.translation.rejects).map(str::to_owned);
        let indexed = text.as_deref().and_then(|text| IndexedText::try_from(text).ok());
        if let (Some(text), None) = (&text, &indexed) {
            self.keep(column, text)?;
        }
        let new = indexed.as_ref().map(|text| text.as_str().to_owned()).into();
        self.value(column, column, text.into(), new, TOO_LONG);
        Ok(indexed)
    }

    fn config_snapshot(&mut self) -> anyhow::Result<Option<Object>> {
        const COLUMN: &str = "config_snapshot";
        let Some(json) = self.row.json(COLUMN, &mut self.translation.rejects) else { return Ok(None) };
        let object = serde_json::from_str::<Object>(json.as_str()).ok();
        let new = if object.is_some() { value_of(Some(&json)) } else { Value::Object(Default::default()) };
        self.value(COLUMN, COLUMN, value_of(Some(&json)), new, NO_OBJECT);
        if object.is_none() {
            self.legacy.insert(COLUMN, json);
        }
        Ok(object)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        const COLUMN: &str = "error_message";
        let message = self.row.word(COLUMN, &mut self.translation.rejects).map(str::to_owned);
        let old = Value::from(message.clone());
        let (row, status) = (self.row, self.course.status);
        let Some(at) = self.course.ended().filter(|_| status != Status::Completed) else {
            if let Some(message) = &message {
                self.keep(COLUMN, message)?;
            }
            self.value(COLUMN, COLUMN, old, Value::Null, MESSAGE_OF_NO_ERROR);
            if let Some(at) = self.course.ended() {
                self.translation.tell(row, None, at, &RunCompleted::default(), false)?;
            }
            return Ok(());
        };
        let said = message.clone().unwrap_or_else(|| NO_MORE.to_owned());
        let (error_message, error_details) = (said.as_str().into(), None);
        let new = match status {
            Status::Failed => {
                self.translation.tell(row, None, at, &RunFailed { error_message, error_details }, false)?;
                Some(said)
            }
            Status::TimedOut => {
                self.translation.tell(row, None, at, &RunTimedOut { error_message, error_details }, false)?;
                Some(said)
            }
            _ => {
                let cancelled = RunCancelled { reason: message.clone().map(Into::into), cancelled_by: None };
                self.translation.tell(row, None, at, &cancelled, false)?;
                message
            }
        };
        self.value(COLUMN, COLUMN, old, new.into(), NO_MESSAGE);
        Ok(())
    }

    fn course_values(&mut self, words: &str) {
        let course = self.course;
        let new = course.status.of_run();
        let old = if course.status.name() == new { new } else { words };
        self.value("status", "status", old.into(), new.into(), OTHER_STATUS);
        self.value("start_time", "started_at", time(course.start_time), time(course.started()), course.start_reason());
        self.value("end_time", "ended_at", time(course.end_time), time(course.ended()), course.end_reason());
    }
}

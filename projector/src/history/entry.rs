//! The events of a run, each with what it changed.

use std::{collections::BTreeMap, pin::pin};

use chrono::{DateTime, Utc};
use events::{
    RecordedEvent,
    id::{EventId, OrgId, RunId, Seq, StepId},
};
use futures::StreamExt;
use ledger::read;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::PgConnection;

use super::{Differences, Folding, HistoryError, Point, RunChanges, StepChanges};
use crate::{
    projection::Projection,
    user_workflow_run::{Rows, RunRow, StepRow, UserWorkflowRun},
};

/// An event of a run, and what it changed when it was recorded.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its place in its org's ledger.
    pub seq: Seq,
    /// Its id.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// Who sent it.
    pub source: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// What it changed. Values of JSON columns are those that were sent.
    #[serde(flatten)]
    pub changes: RunChanges,
}

/// Tells the run's events in the order of their seq. Each costs rows of the run and of the step that it is
/// about, made anew and compared: what these hold, and not how many steps or events the run has.
///
/// # Errors
/// When PostgreSQL fails, an event needs a newer program, or `tell` fails.
pub async fn each_entry<E: From<HistoryError>>(
    conn: &mut PgConnection,
    org_id: OrgId,
    run_id: RunId,
    mut tell: impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let folding = Folding::of(conn, org_id, run_id).await?;
    let subjects = [run_id.subject()];
    let through = Point::NOW.through();
    let mut events = pin!(read::events_of_subjects(conn, org_id, &subjects, UserWorkflowRun::FAMILIES, through));
    let (mut state, mut told) = (UserWorkflowRun::default(), Told::default());
    while let Some(recorded) = events.next().await.transpose().map_err(HistoryError::from)? {
        state.apply(folding.event(&recorded)?);
        let changes = told.changes(folding.rows(&mut state));
        let changes = changes.map_err(|source| HistoryError::Row { run_id, source })?;
        tell(Entry::of(recorded, changes))?;
    }
    Ok(())
}

impl Entry {
    fn of(recorded: RecordedEvent, changes: RunChanges) -> Self {
        let RecordedEvent { seq, recorded_at, event, .. } = recorded;
        Self {
            seq,
            event_id: event.event_id,
            event_type: event.event_type,
            source: event.source,
            occurred_at: event.occurred_at,
            recorded_at,
            changes,
        }
    }
}

/// The rows after the events that were told.
#[derive(Default)]
struct Told {
    run: Option<Row>,
    steps: BTreeMap<StepId, Row>,
}

/// A row. Its lists stand apart, because they may be long and an event adds one element to them.
struct Row {
    columns: Box<RawValue>,
    lists: Vec<(&'static str, String)>,
}

impl Told {
    /// What these rows change. Every event makes a row of its run anew, so where there is none, the run
    /// has none any more, and no steps either.
    fn changes(&mut self, rows: Rows) -> Result<RunChanges, serde_json::Error> {
        let run = rows.runs.into_iter().next().map(Row::of_run).transpose()?;
        let differences = Row::differences(self.run.as_ref(), run.as_ref())?;
        let mut changes = RunChanges::of([&self.run, &run].map(Option::as_ref), differences, vec![]);
        self.run = run;
        if self.run.is_none() {
            for (step_id, step) in std::mem::take(&mut self.steps) {
                changes.steps.extend(Row::step_changes(step_id, Some(&step), None)?);
            }
            return Ok(changes);
        }
        for row in rows.steps {
            let step_id = row.step_id;
            let step = Row::of_step(row)?;
            changes.steps.extend(Row::step_changes(step_id, self.steps.get(&step_id), Some(&step))?);
            self.steps.insert(step_id, step);
        }
        Ok(changes)
    }
}

impl Row {
    fn of_run(mut row: RunRow) -> Result<Self, serde_json::Error> {
        let lists = vec![("endpoints_used", take(&mut row.endpoints_used))];
        Ok(Self { columns: to_raw_value(&row)?, lists })
    }

    fn of_step(mut row: StepRow) -> Result<Self, serde_json::Error> {
        let lists = vec![("events", take(&mut row.events)), ("screenshots", take(&mut row.screenshots))];
        Ok(Self { columns: to_raw_value(&row)?, lists })
    }

    fn differences(from: Option<&Self>, to: Option<&Self>) -> Result<Differences, serde_json::Error> {
        let mut differences = Differences::between(columns(from), columns(to))?;
        let Some(lists) = from.or(to).map(|row| &row.lists) else { return Ok(differences) };
        for (place, (column, _)) in lists.iter().enumerate() {
            let [from, to] = [from, to].map(|row| row.map(|row| row.lists[place].1.as_str()));
            differences.0.extend(Differences::of_lists(column, from, to)?.0);
        }
        differences.0.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(differences)
    }

    fn step_changes(
        step_id: StepId,
        from: Option<&Self>,
        to: Option<&Self>,
    ) -> Result<Option<StepChanges>, serde_json::Error> {
        StepChanges::of(step_id, [columns(from), columns(to)], Self::differences(from, to)?)
    }
}

fn columns(row: Option<&Row>) -> Option<&RawValue> {
    row.map(|row| &*row.columns)
}

/// Takes a list out of its row, which has none then.
fn take(list: &mut String) -> String {
    std::mem::replace(list, "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::Change,
        projection::FoldEvent,
        story::{lookups, on, recorded, subject},
    };

    fn told(story: impl IntoIterator<Item = crate::story::Told>) -> Vec<RunChanges> {
        let (mut state, mut told) = (UserWorkflowRun::default(), Told::default());
        let changes = recorded(story).into_iter().map(|event| {
            let mut rows = Rows::default();
            state.apply(FoldEvent::read::<UserWorkflowRun>(&event).unwrap());
            state.take_rows(subject(), &lookups(), &mut rows);
            told.changes(rows).unwrap()
        });
        changes.collect()
    }

    fn columns(differences: &Differences) -> Vec<&str> {
        differences.0.iter().map(|difference| difference.path.as_str()).collect()
    }

    #[test]
    fn an_event_changes_what_it_says_and_nothing_else() {
        let changes = told([
            on("run.started", "10:00:00"),
            on("step.started", "10:00:01").step(1).with(r#""step_number":1"#),
            on("step.event_logged", "10:00:02").step(1).with(r#""event":{"n":1}"#),
            on("step.started", "10:00:03").step(2),
            on("run.context_added", "10:00:04").with(r#""context":{"payer":"Blue Harbor"}"#),
        ]);
        assert!(columns(&changes[0].run).contains(&"status"));
        assert_eq!(changes[1].steps[0].change, Change::Appeared);
        assert_eq!(columns(&changes[2].run), ["updated_at"]);
        assert_eq!(changes[2].steps.len(), 1);
        assert_eq!(
            columns(&changes[2].steps[0].columns),
            [r#"events["00000000-0000-0000-0000-000000000003"]"#, "updated_at"]
        );
        assert_eq!(columns(&changes[4].run), ["context.payer", "updated_at"]);
        assert!(changes[4].steps.is_empty());
    }

    #[test]
    fn of_the_pictures_that_an_event_added_those_that_have_to_go_are_told() {
        let three = r#""screenshots":[{"uri":"a"},{"uri":"b"},{"uri":"c"}]"#;
        let captured = |second: usize| {
            let time = format!("10:{:02}:{:02}", second / 60, second % 60);
            on("step.screenshot_captured", time).version(2).step(1).with(three)
        };
        // 1,002 pictures, two more than a list keeps.
        let last = told((0..334).map(captured)).pop().unwrap();
        let pictures = last.steps[0].columns.0.iter().filter(|difference| difference.path.starts_with("screenshots"));
        let told = pictures.map(|difference| {
            let count = |side: &Option<Box<RawValue>>| side.as_ref().map_or(0, |it| it.get().matches("uri").count());
            (difference.path.clone(), count(&difference.from), count(&difference.to))
        });
        let path = |number| format!("screenshots[\"{}\"]", crate::story::id(number));
        assert_eq!(told.collect::<Vec<_>>(), [(path(1), 3, 1), (path(334), 0, 3)]);
    }

    #[test]
    fn a_late_event_that_loses_changes_nothing_but_what_it_adds() {
        let changes =
            told([on("run.completed", "10:00:09"), on("custom.noted", "10:00:05"), on("run.started", "10:00:00")]);
        assert!(changes[1].is_empty(), "{:?}", changes[1]);
        assert_eq!(columns(&changes[2].run), ["created_at", "duration_ms", "flags", "started_at"]);
    }

    #[test]
    fn when_the_row_goes_its_steps_go_too_and_come_back_with_it() {
        let mut told = Told::default();
        let mut state = UserWorkflowRun::default();
        let mut rows = Rows::default();
        for event in &recorded([on("run.started", "10:00:00"), on("step.started", "10:00:01").step(1)]) {
            state.apply(FoldEvent::read::<UserWorkflowRun>(event).unwrap());
        }
        state.take_rows(subject(), &lookups(), &mut rows);
        let appeared = told.changes(rows.clone()).unwrap();
        let vanished = told.changes(Rows::default()).unwrap();
        assert_eq!((vanished.change, vanished.steps[0].change), (Some(Change::Vanished), Change::Vanished));
        assert_eq!(columns(&vanished.run), columns(&appeared.run));
        let back = told.changes(rows).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&appeared).unwrap());
    }
}

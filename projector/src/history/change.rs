//! What changed in the rows of one run.

use std::collections::BTreeMap;

use events::id::StepId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Differences;

/// What changed in a run's row and in those of its steps.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunChanges {
    /// Whether the run's row is a new one; none if nothing changed in it.
    pub change: Option<Change>,
    /// In the run's row.
    pub run: Differences,
    /// In the rows of steps, those that changed.
    pub steps: Vec<StepChanges>,
}

/// What changed in a step's row.
#[derive(Clone, Debug, Serialize)]
pub struct StepChanges {
    /// Which step.
    pub step_id: StepId,
    /// Its place among the steps of its run.
    pub step_number: Option<i32>,
    /// What it is called.
    pub label: Option<String>,
    /// Whether it is a new row.
    pub change: Change,
    /// The columns that changed.
    pub columns: Differences,
}

/// How a row changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// There was none before.
    Appeared,
    /// There is none any more.
    Vanished,
    /// There was one, and it was different.
    Changed,
}

impl Change {
    /// How these columns changed a row; none if nothing did.
    fn of<T>(rows: [Option<T>; 2], columns: &Differences) -> Option<Self> {
        if columns.is_empty() {
            return None;
        }
        match rows {
            [_, None] => Some(Self::Vanished),
            [None, _] => Some(Self::Appeared),
            [Some(_), Some(_)] => Some(Self::Changed),
        }
    }
}

/// What a step is called: services put it into its metadata.
pub(super) fn label(metadata: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    ["label", "name", "activity"].iter().find_map(|key| metadata.get(*key)?.as_str()).map(str::to_owned)
}

impl RunChanges {
    /// What changed between two rows with `steps`, as [`run_at`](super::run_at) gives them.
    ///
    /// # Errors
    /// When one is no such row.
    pub fn between(from: Option<&RawValue>, to: Option<&RawValue>) -> Result<Self, serde_json::Error> {
        let (from, to) = (Parts::of(from)?, Parts::of(to)?);
        let mut steps = Vec::new();
        // In the order of the steps as they are now, then those that are no more.
        let gone = from.order.iter().filter(|step_id| !to.steps.contains_key(step_id));
        for step_id in to.order.iter().chain(gone) {
            let (from, to) = (from.steps.get(step_id).copied(), to.steps.get(step_id).copied());
            steps.extend(StepChanges::of(*step_id, [from, to], Differences::between(from, to)?)?);
        }
        let rows = [from.run.as_deref(), to.run.as_deref()];
        Ok(Self::of(rows, Differences::between(rows[0], rows[1])?, steps))
    }

    /// What these columns changed between two rows of the run, and what changed in its steps.
    pub(super) fn of<T>(rows: [Option<T>; 2], run: Differences, steps: Vec<StepChanges>) -> Self {
        Self { change: Change::of(rows, &run), run, steps }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.run.is_empty() && self.steps.is_empty()
    }
}

impl StepChanges {
    /// What these columns changed between two rows of a step; none if nothing did.
    ///
    /// # Errors
    /// When one is no row of a step.
    pub(super) fn of(
        step_id: StepId,
        rows: [Option<&RawValue>; 2],
        columns: Differences,
    ) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Named {
            step_number: Option<i32>,
            metadata: serde_json::Map<String, serde_json::Value>,
        }
        let [from, to] = rows;
        let Some((change, latest)) = Change::of(rows, &columns).zip(to.or(from)) else { return Ok(None) };
        let Named { step_number, metadata } = serde_json::from_str(latest.get())?;
        Ok(Some(Self { step_id, step_number, label: label(&metadata), change, columns }))
    }
}

/// A row with `steps`, taken apart.
#[derive(Default)]
struct Parts<'a> {
    /// The row without its steps.
    run: Option<Box<RawValue>>,
    order: Vec<StepId>,
    steps: BTreeMap<StepId, &'a RawValue>,
}

impl<'a> Parts<'a> {
    fn of(row: Option<&'a RawValue>) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Step {
            step_id: StepId,
        }
        let Some(row) = row else { return Ok(Self::default()) };
        let mut columns: BTreeMap<&str, &RawValue> = serde_json::from_str(row.get())?;
        let mut parts = Self::default();
        if let Some(steps) = columns.remove("steps") {
            for step in serde_json::from_str::<Vec<&RawValue>>(steps.get())? {
                let Step { step_id } = serde_json::from_str(step.get())?;
                parts.order.push(step_id);
                parts.steps.insert(step_id, step);
            }
        }
        parts.run = Some(serde_json::value::to_raw_value(&columns)?);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn step(number: u128, status: &str) -> Value {
        json!({
            "step_id": crate::story::id(number), "step_number": number, "status": status,
            "metadata": { "label": format!("Step {number}") },
        })
    }

    fn changes(from: Option<Value>, to: Option<Value>) -> Value {
        let [from, to] = [from, to].map(|row| row.map(|row| serde_json::value::to_raw_value(&row).unwrap()));
        serde_json::to_value(RunChanges::between(from.as_deref(), to.as_deref()).unwrap()).unwrap()
    }

    #[test]
    fn steps_change_appear_and_vanish() {
        let from =
            json!({ "status": "running", "steps": [step(1, "running"), step(2, "pending"), step(3, "pending")] });
        let to = json!({ "status": "failed", "steps": [step(1, "failed"), step(2, "pending"), step(4, "pending")] });
        let changes = changes(Some(from), Some(to));
        assert_eq!(changes["run"], json!({ "status": ["running", "failed"] }));
        let told: Vec<_> = changes["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| (step["step_number"].as_i64().unwrap(), step["change"].as_str().unwrap()))
            .collect();
        assert_eq!(told, [(1, "changed"), (4, "appeared"), (3, "vanished")]);
        assert_eq!(changes["steps"][0]["columns"], json!({ "status": ["running", "failed"] }));
        assert_eq!(changes["steps"][0]["label"], "Step 1");
    }

    #[test]
    fn a_run_that_is_the_same_has_not_changed() {
        let row = json!({ "status": "running", "steps": [step(1, "running")] });
        assert_eq!(changes(Some(row.clone()), Some(row)), json!({ "change": null, "run": {}, "steps": [] }));
        assert_eq!(changes(None, None), json!({ "change": null, "run": {}, "steps": [] }));
    }

    #[test]
    fn a_run_that_did_not_exist_appears_with_its_steps() {
        let changes = changes(None, Some(json!({ "status": "running", "steps": [step(1, "running")] })));
        assert_eq!(changes["change"], "appeared");
        assert_eq!(changes["run"], json!({ "status": [null, "running"] }));
        assert_eq!(changes["steps"][0]["change"], "appeared");
        assert_eq!(changes["steps"][0]["columns"]["status"], json!([null, "running"]));
    }
}

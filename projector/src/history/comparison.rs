//! Two runs, step by step.

use std::collections::HashMap;

use events::id::{NodeId, RunId, StepId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Differences, change::label};

/// The columns in which two runs are compared: those that say what they did, not when.
const COLUMNS: [&str; 10] = [
    "channel",
    "config_snapshot",
    "context",
    "duration_ms",
    "error_details",
    "error_message",
    "flags",
    "status",
    "workflow_id",
    "workflow_revision",
];

/// Two runs, the first one's value first everywhere.
#[derive(Clone, Debug, Serialize)]
pub struct RunComparison {
    /// Which runs.
    pub run_id: [RunId; 2],
    /// Their statuses.
    pub status: [String; 2],
    /// How long they took.
    pub duration_ms: [Option<i64>; 2],
    /// What differs in the runs' rows, times and ids aside.
    pub run: Differences,
    /// The steps of the first in their order, then those of the second alone.
    pub steps: Vec<StepComparison>,
}

/// A step of each of two runs, or of one of them.
#[derive(Clone, Debug, Serialize)]
pub struct StepComparison {
    /// What shows that it is the same step; none for a step of one run alone.
    pub matched_by: Option<MatchedBy>,
    /// Its ids; null where a run lacks the step.
    pub step_id: [Option<StepId>; 2],
    /// Its places among the steps of its run.
    pub step_number: [Option<i32>; 2],
    /// What it is called.
    pub label: [Option<String>; 2],
    /// Its statuses.
    pub status: [Option<String>; 2],
    /// How long it took.
    pub duration_ms: [Option<i64>; 2],
    /// How often it was tried again.
    pub retry_count: [Option<i32>; 2],
    /// What went wrong.
    pub error_message: [Option<String>; 2],
    /// What differs in `error_details`.
    pub error_details: Differences,
    /// What differs in `input_data`.
    pub input_data: Differences,
    /// What differs in `output_data`.
    pub output_data: Differences,
}

/// What shows that two steps are the same step of the workflow. Of several that share it, the first
/// belongs to the first, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// The node of the workflow's graph.
    NodeId,
    /// The place among the steps, where not both have a node.
    StepNumber,
    /// The name, where not both have a node or a number.
    Label,
}

#[derive(Deserialize)]
struct Row<'a> {
    run_id: RunId,
    status: String,
    duration_ms: Option<i64>,
    #[serde(borrow)]
    steps: Vec<Step<'a>>,
}

#[derive(Deserialize)]
struct Step<'a> {
    step_id: StepId,
    node_id: Option<NodeId>,
    step_number: Option<i32>,
    status: String,
    duration_ms: Option<i64>,
    retry_count: i32,
    error_message: Option<String>,
    #[serde(borrow)]
    error_details: Option<&'a RawValue>,
    #[serde(borrow)]
    input_data: Option<&'a RawValue>,
    #[serde(borrow)]
    output_data: Option<&'a RawValue>,
    metadata: serde_json::Map<String, serde_json::Value>,
}

impl RunComparison {
    /// Compares two rows with `steps`, as [`run_at`](super::run_at) gives them.
    ///
    /// # Errors
    /// When one is no such row.
    pub fn of(rows: [&RawValue; 2]) -> Result<Self, serde_json::Error> {
        let [one, other] = rows.map(|row| serde_json::from_str::<Row<'_>>(row.get()));
        let (one, other) = (one?, other?);
        let mut run = Differences::between(Some(rows[0]), Some(rows[1]))?;
        run.0.retain(|difference| {
            let column = difference.path.split(['.', '[']).next();
            column.is_some_and(|column| COLUMNS.contains(&column))
        });
        let (pairs, rest) = matched(&one.steps, &other.steps);
        let of_one = one.steps.iter().zip(pairs).map(|(step, pair)| {
            let (other, matched_by) = pair.map(|(place, by)| (&other.steps[place], by)).unzip();
            StepComparison::of([Some(step), other], matched_by)
        });
        let of_other = rest.into_iter().map(|place| StepComparison::of([None, Some(&other.steps[place])], None));
        let steps = of_one.chain(of_other).collect::<Result<_, _>>()?;
        Ok(Self {
            run_id: [one.run_id, other.run_id],
            status: [one.status, other.status],
            duration_ms: [one.duration_ms, other.duration_ms],
            run,
            steps,
        })
    }
}

impl StepComparison {
    fn of(steps: [Option<&Step<'_>>; 2], matched_by: Option<MatchedBy>) -> Result<Self, serde_json::Error> {
        let differences = |path, column: fn(&Step<'_>) -> Option<Box<RawValue>>| match steps {
            [Some(one), Some(other)] => Differences::of_values(path, column(one).as_deref(), column(other).as_deref()),
            _ => Ok(Differences::default()),
        };
        Ok(Self {
            matched_by,
            step_id: steps.map(|step| step.map(|step| step.step_id)),
            step_number: steps.map(|step| step?.step_number),
            label: steps.map(|step| label(&step?.metadata)),
            status: steps.map(|step| Some(step?.status.clone())),
            duration_ms: steps.map(|step| step?.duration_ms),
            retry_count: steps.map(|step| Some(step?.retry_count)),
            error_message: steps.map(|step| step?.error_message.clone()),
            error_details: differences("error_details", |step| step.error_details.map(ToOwned::to_owned))?,
            input_data: differences("input_data", |step| step.input_data.map(ToOwned::to_owned))?,
            output_data: differences("output_data", |step| step.output_data.map(ToOwned::to_owned))?,
        })
    }

    /// Whether all but the times, ids and names is the same in both runs.
    pub fn is_same(&self) -> bool {
        let [status, other_status] = &self.status;
        let [retries, other_retries] = &self.retry_count;
        let [error, other_error] = &self.error_message;
        let differences = [&self.error_details, &self.input_data, &self.output_data];
        status == other_status
            && retries == other_retries
            && error == other_error
            && differences.iter().all(|it| it.is_empty())
    }
}

impl Step<'_> {
    fn key(&self, by: MatchedBy) -> Option<String> {
        match by {
            MatchedBy::NodeId => self.node_id.map(|node_id| node_id.to_string()),
            MatchedBy::StepNumber => self.step_number.map(|number| number.to_string()),
            MatchedBy::Label => label(&self.metadata),
        }
    }
}

/// For each of `ones` the place of its like in `others`, and the places of those that are like none.
fn matched(ones: &[Step<'_>], others: &[Step<'_>]) -> (Vec<Option<(usize, MatchedBy)>>, Vec<usize>) {
    const WAYS: [MatchedBy; 3] = [MatchedBy::NodeId, MatchedBy::StepNumber, MatchedBy::Label];
    let mut pairs = vec![None; ones.len()];
    let mut rest: Vec<usize> = (0..others.len()).collect();
    for (at, way) in WAYS.into_iter().enumerate() {
        // Where both have something better, that has told them apart already.
        let better = |step: &Step<'_>| {
            WAYS[..at].iter().enumerate().map(|(bit, way)| usize::from(step.key(*way).is_some()) << bit).sum::<usize>()
        };
        // Those of one key by what better they have, the last one first: they are taken from the end.
        let mut places: HashMap<String, [Vec<usize>; 1 << (WAYS.len() - 1)]> = HashMap::new();
        for place in rest.iter().rev() {
            let step = &others[*place];
            if let Some(key) = step.key(way) {
                places.entry(key).or_default()[better(step)].push(*place);
            }
        }
        for (step, pair) in ones.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            let Some(places) = step.key(way).and_then(|key| places.get_mut(&key)) else { continue };
            let of_step = better(step);
            let not_told_apart = places.iter_mut().enumerate().filter(|(better, _)| better & of_step == 0);
            // The first one in its order.
            let first = not_told_apart
                .map(|(_, places)| places)
                .min_by_key(|places| places.last().map_or(usize::MAX, |place| *place));
            *pair = first.and_then(Vec::pop).map(|place| (place, way));
        }
        let taken: std::collections::HashSet<usize> = pairs.iter().flatten().map(|(place, _)| *place).collect();
        rest.retain(|place| !taken.contains(place));
    }
    (pairs, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::story::id;

    fn step(step_id: u128, columns: Value) -> Value {
        let mut step = json!({
            "step_id": id(step_id), "node_id": null, "step_number": null, "status": "completed", "duration_ms": 5,
            "retry_count": 0, "error_message": null, "error_details": null, "input_data": null, "output_data": null,
            "metadata": {},
        });
        step.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
        step
    }

    fn comparison(steps: [Vec<Value>; 2]) -> Value {
        let mut number = 0;
        let rows = steps.map(|steps| {
            number += 1;
            let row = json!({ "run_id": id(number), "status": "completed", "duration_ms": number, "steps": steps });
            serde_json::value::to_raw_value(&row).unwrap()
        });
        serde_json::to_value(RunComparison::of([&rows[0], &rows[1]]).unwrap()).unwrap()
    }

    /// How steps were matched: by what, and the last digits of their ids.
    fn pairs(comparison: &Value) -> Vec<(String, String, String)> {
        let digit = |value: &Value| value.as_str().map_or("–".to_owned(), |id| id[id.len() - 1..].to_owned());
        let steps = comparison["steps"].as_array().unwrap().iter();
        let by = |step: &Value| step["matched_by"].as_str().unwrap_or("–").to_owned();
        steps.map(|step| (by(step), digit(&step["step_id"][0]), digit(&step["step_id"][1]))).collect()
    }

    fn told<const N: usize>(pairs: [(&str, &str, &str); N]) -> Vec<(String, String, String)> {
        pairs.map(|(by, one, other)| (by.to_owned(), one.to_owned(), other.to_owned())).into()
    }

    #[test]
    fn steps_are_matched_by_node_then_number_then_label() {
        let label = |label| json!({ "metadata": { "label": label } });
        let comparison = comparison([
            vec![
                step(1, json!({ "node_id": id(91), "step_number": 1 })),
                step(2, json!({ "step_number": 2 })),
                step(3, label("Submit")),
                step(4, label("Wait")),
            ],
            vec![
                step(5, label("Submit")),
                step(6, json!({ "node_id": id(92), "step_number": 2 })),
                step(7, json!({ "node_id": id(91), "step_number": 7 })),
                step(8, label("Call")),
            ],
        ]);
        assert_eq!(
            pairs(&comparison),
            told([
                ("node_id", "1", "7"),
                ("step_number", "2", "6"),
                ("label", "3", "5"),
                ("–", "4", "–"),
                ("–", "–", "8")
            ])
        );
    }

    #[test]
    fn steps_of_different_nodes_are_not_matched_by_their_number() {
        let of_node = |step_id, node| step(step_id, json!({ "node_id": id(node), "step_number": 1 }));
        let comparison = comparison([vec![of_node(1, 91)], vec![of_node(2, 92)]]);
        assert_eq!(pairs(&comparison), told([("–", "1", "–"), ("–", "–", "2")]));
    }

    #[test]
    fn steps_that_share_a_key_are_matched_in_their_order() {
        let again = |step_id| step(step_id, json!({ "metadata": { "activity": "Poll" } }));
        let comparison = comparison([vec![again(1), again(2), again(3)], vec![again(4), again(5)]]);
        assert_eq!(pairs(&comparison), told([("label", "1", "4"), ("label", "2", "5"), ("–", "3", "–")]));
    }

    #[test]
    fn a_step_is_matched_with_the_first_that_nothing_better_tells_apart() {
        let poll = |step_id, columns: Value| {
            let mut step = step(step_id, columns);
            step["metadata"] = json!({ "label": "Poll" });
            step
        };
        let comparison = comparison([
            vec![poll(1, json!({ "node_id": id(91) })), poll(2, json!({ "step_number": 2 })), poll(3, json!({}))],
            vec![
                poll(4, json!({ "node_id": id(92), "step_number": 4 })),
                poll(5, json!({ "node_id": id(93) })),
                poll(6, json!({ "step_number": 6 })),
            ],
        ]);
        assert_eq!(pairs(&comparison), told([("label", "1", "6"), ("label", "2", "5"), ("label", "3", "4")]));
    }

    #[test]
    fn steps_that_failed_in_different_ways_or_were_tried_again_are_not_the_same() {
        let same = |one: Value, other: Value| {
            let rows = [one, other].map(|columns| {
                let row = json!({ "run_id": id(1), "status": "failed", "duration_ms": 1, "steps": [step(1, columns)] });
                serde_json::value::to_raw_value(&row).unwrap()
            });
            RunComparison::of([&rows[0], &rows[1]]).unwrap().steps[0].is_same()
        };
        let columns = json!({ "node_id": id(91), "error_message": "no answer", "error_details": { "code": 504 } });
        assert!(same(columns.clone(), columns.clone()));
        for (column, value) in [
            ("retry_count", json!(1)),
            ("error_message", json!("refused")),
            ("error_details", json!({ "code": 403 })),
            ("status", json!("failed")),
        ] {
            let mut other = columns.clone();
            other[column] = value;
            assert!(!same(columns.clone(), other), "{column}");
        }
    }

    #[test]
    fn matched_steps_are_compared_by_what_they_did() {
        let one = json!({ "step_number": 1, "input_data": { "claim": 1, "npi": 2 }, "output_data": { "paid": 10.50 } });
        let other = json!({
            "step_number": 1, "status": "failed", "duration_ms": 9, "input_data": { "claim": 2, "npi": 2 },
            "retry_count": 2, "error_message": "no answer", "error_details": { "code": 504 },
        });
        let comparison = comparison([vec![step(1, one)], vec![step(2, other)]]);
        let step = &comparison["steps"][0];
        assert_eq!(step["status"], json!(["completed", "failed"]));
        assert_eq!(step["duration_ms"], json!([5, 9]));
        assert_eq!(step["input_data"], json!({ "input_data.claim": [1, 2] }));
        assert_eq!(step["output_data"], json!({ "output_data": [{ "paid": 10.50 }, null] }));
        assert_eq!(step["retry_count"], json!([0, 2]));
        assert_eq!(step["error_message"], json!([null, "no answer"]));
        assert_eq!(step["error_details"], json!({ "error_details": [null, { "code": 504 }] }));
        assert_eq!(comparison["run"], json!({ "duration_ms": [1, 2] }));
    }
}

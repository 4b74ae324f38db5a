//! For programs: one object a line.

use serde_json::{Value, json};

use crate::measurement::{Goal, Results, Samples};

/// A line for each row: `row`, `value` (the median), `unit`, `target`, `holds`; besides `stretch`, `min`, `max`, `title`
/// and `parts`. A line for each point of a curve: `row`, `value`, `unit`, `at`; it is held to nothing by itself.
pub fn lines(results: &Results) -> String {
    let rows = results.measurements.iter().map(|it| {
        let parts = it.parts.iter().map(|part| {
            let mut value = figures(&part.samples, part.unit);
            value["name"] = json!(part.name);
            value
        });
        let mut line = figures(&it.samples, it.unit);
        line["row"] = json!(it.row);
        line["title"] = json!(it.title);
        line["target"] = json!(it.goal.map(Goal::target));
        line["stretch"] = json!(it.goal.map(Goal::stretch));
        line["holds"] = json!(it.holds());
        line["parts"] = parts.collect();
        line
    });
    let points = results.curves.iter().flat_map(|curve| {
        curve.points.iter().map(|(size, samples)| {
            let mut line = figures(samples, curve.unit);
            line["row"] = json!(curve.row);
            line["title"] = json!(curve.title);
            line["at"] = json!(size);
            line["target"] = Value::Null;
            line["holds"] = Value::Null;
            line
        })
    });
    rows.chain(points).map(|line| format!("{line}\n")).collect()
}

fn figures(samples: &Samples, unit: &str) -> Value {
    let (min, max) = samples.spread();
    json!({ "value": samples.median(), "unit": unit, "min": min, "max": max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::{Curve, Measurement, Part};

    #[test]
    fn each_row_and_each_point_is_an_object_on_a_line() {
        let ledger = Measurement {
            row: "ledger".to_owned(),
            title: "ledger / COPY".to_owned(),
            unit: "×",
            samples: [0.6, 0.8, 0.75].into_iter().collect(),
            goal: Some(Goal::AtLeast { target: 0.7, stretch: 0.9 }),
            parts: vec![Part { name: "COPY", unit: "events/s", samples: [70_000.0].into_iter().collect() }],
        };
        let growth = Curve {
            row: "growth".to_owned(),
            title: "cost".to_owned(),
            grows: "events",
            unit: "µs",
            points: vec![(1e5, [20.0].into_iter().collect()), (1e6, [21.0].into_iter().collect())],
        };
        let text = lines(&Results { measurements: vec![ledger], curves: vec![growth] });
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            (&lines[0]["row"], &lines[0]["value"], &lines[0]["unit"]),
            (&json!("ledger"), &json!(0.75), &json!("×"))
        );
        assert_eq!((&lines[0]["target"], &lines[0]["holds"]), (&json!(0.7), &json!(true)));
        assert_eq!(lines[0]["parts"][0]["value"], json!(70_000.0));
        assert_eq!(
            (&lines[2]["at"], &lines[2]["value"], &lines[2]["holds"]),
            (&json!(1e6), &json!(21.0), &Value::Null)
        );
    }
}

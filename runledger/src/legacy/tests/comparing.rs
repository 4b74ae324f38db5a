//! What the read models say against what the rows did.

use events::id::StepId;

use super::*;
use crate::legacy::translation::Place;

/// What the read models say when everything has gone well.
fn as_expected(translated: &Translated) -> Json {
    let (mut run, mut steps) = (json!({ "context": {} }), BTreeMap::<String, Json>::new());
    let empty = |step_id: StepId| json!({ "step_id": step_id });
    for value in &translated.values {
        let new = value.new.clone();
        match &value.place {
            Place::Run(column) => run[*column] = new,
            Place::Context(key) => run["context"][key] = new,
            Place::Step(step_id, column) => {
                steps.entry(step_id.to_string()).or_insert_with(|| empty(*step_id))[*column] = new;
            }
            Place::Listed(step_id, list, ..) => {
                let row = match step_id {
                    Some(step_id) => steps.entry(step_id.to_string()).or_insert_with(|| empty(*step_id)),
                    None => &mut run,
                };
                match row[*list].as_array_mut() {
                    Some(elements) => elements.push(new),
                    None => row[*list] = json!([new]),
                }
            }
        }
    }
    run["steps"] = steps.into_values().collect();
    run
}

/// Column and reason of each difference.
fn differences(translated: &Translated, run: &Json) -> Vec<(String, Option<String>)> {
    let (_, differences) = compare(translated, Some(run), None);
    differences.into_iter().map(|it| (it.column, it.reason)).collect()
}

fn unexplained(translated: &Translated, run: &Json) -> Vec<String> {
    let unexplained = differences(translated, run).into_iter().filter(|(_, reason)| reason.is_none());
    unexplained.map(|(column, _)| column).collect()
}

#[test]
fn a_bad_value_explains_nothing_of_the_rest_of_its_row_and_is_told_once() {
    let given = trace(&[
        ("channel", "web"),
        ("config_snapshot", r#"{"a":1,"a":2}"#),
        ("end_time", "infinity"),
        ("updated_at", "2016-01-01 12:00:00"),
    ]);
    let translated = translated(given, vec![]);
    let mut run = as_expected(&translated);
    run["channel"] = json!("voice");
    let found = differences(&translated, &run);
    let named: Vec<_> = found.iter().map(|(column, reason)| (column.as_str(), reason.is_some())).collect();
    assert_eq!(named, [("end_time", true), ("channel", false), ("config_snapshot", true)]);
}

#[test]
fn an_event_that_was_refused_explains_what_it_carries_and_no_more() {
    let words = "\"".repeat(900 * 1024);
    let given = trace(&[
        ("status", "failed"),
        ("channel", "web"),
        ("start_time", "2016-01-01 10:00:00"),
        ("end_time", "2016-01-01 11:00:00"),
        ("error_message", &words),
    ]);
    let translated = translated(given, vec![]);
    assert_eq!(rejects(&translated), [("workflow_trace", "run.failed", "too_complex")]);
    let mut run = as_expected(&translated);
    for (column, value) in
        [("status", json!("running")), ("ended_at", Json::Null), ("error_message", Json::Null), ("channel", json!("x"))]
    {
        run[column] = value;
    }
    let found = differences(&translated, &run);
    let named: Vec<_> = found.iter().map(|(column, reason)| (column.as_str(), reason.is_some())).collect();
    assert_eq!(
        named,
        [("error_message", true), ("status", true), ("end_time", true), ("channel", false), ("run.failed", true)]
    );
}

#[test]
fn a_row_with_anothers_key_explains_nothing_of_the_other() {
    let translated =
        translated(trace(&[]), vec![step("5", &[("step_number", "1")]), step("5", &[("step_number", "2")])]);
    let mut run = as_expected(&translated);
    run["steps"][0]["step_number"] = json!(9);
    assert_eq!(unexplained(&translated, &run), ["step_number"]);
}

#[test]
fn of_several_elements_of_one_old_key_the_one_that_the_row_says_counts() {
    let event = row(
        &EVENTS,
        &[("event_id", "1"), ("trace_id", "17"), ("step_id", "5"), ("event_type", "a"), ("created_at", "2016-01-01")],
    );
    let translated = translated(trace(&[]), vec![step("5", &[]), event]);
    let mut run = as_expected(&translated);
    let events = run["steps"][0]["events"].as_array_mut().unwrap();
    let mut before = events[0].clone();
    before["event_type"] = json!("as it was");
    events.insert(0, before);
    assert_eq!(unexplained(&translated, &run), Vec::<String>::new());
}

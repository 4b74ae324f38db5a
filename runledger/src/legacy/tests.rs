//! Given rows of the old tables, then these events, rejects and values.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::Event;
use serde_json::{Value as Json, json};

use super::{
    row::Row,
    table::{BINDINGS, CONTEXT, ENDPOINTS, EVENTS, SCREENSHOTS, STEPS, TRACE, Table},
    *,
};

mod comparing;
mod refused;

const ORG: &str = "8f1c2a4e-0b7d-4c55-9d2e-6a1f3b5c7d90";

fn at(text: &str) -> DateTime<Utc> {
    events::time::parse(text).unwrap()
}

fn target() -> Target {
    Target {
        name: "legacy".to_owned(),
        orgs: OrgMap::of(vec![format!("7={ORG}").parse().unwrap()]).unwrap(),
        statuses: Statuses::usual_and([]),
        now: at("2026-03-01T00:00:00Z"),
    }
}

fn row(table: &'static Table, fields: &[(&'static str, &str)]) -> Row {
    let fields: BTreeMap<_, _> = fields.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    Row::new(table, fields, None)
}

/// A trace, with these columns besides what it needs or in their place.
fn trace(fields: &[(&'static str, &str)]) -> Row {
    let usual = [("trace_id", "17"), ("org_id", "7"), ("status", "completed"), ("created_at", "2016-01-01 10:00:00")];
    row(&TRACE, &[&usual, fields].concat())
}

/// A step of it.
fn step(step_id: &str, fields: &[(&'static str, &str)]) -> Row {
    let usual =
        [("step_id", step_id), ("trace_id", "17"), ("status", "completed"), ("created_at", "2016-01-01 10:00:01")];
    row(&STEPS, &[&usual, fields].concat())
}

fn translated(trace: Row, children: Vec<Row>) -> Translated {
    translate(&target(), &Trace::new(trace, children)).unwrap()
}

/// Type, time and payload of each event; ids of steps by their old ones.
fn told(translated: &Translated) -> Vec<(String, String, Json)> {
    let told = |event: &Event| {
        let data = serde_json::from_str(&event.data).unwrap();
        (event.event_type.clone(), events::time::format(event.occurred_at), data)
    };
    translated.events.iter().map(told).collect()
}

/// The payload of the one event of this type.
fn data_of(translated: &Translated, event_type: &str) -> Json {
    let of_type: Vec<_> = told(translated).into_iter().filter(|(told, _, _)| told == event_type).collect();
    let [(_, _, data)] = &of_type[..] else { panic!("{} events {event_type}", of_type.len()) };
    data.clone()
}

/// What is told of the run from outside it, all together.
fn attributes_of(translated: &Translated) -> Json {
    let created = told(translated).into_iter().filter(|(told, _, _)| told == "run.created").map(|(_, _, data)| data);
    created.flat_map(|data| data.as_object().unwrap().clone()).collect::<serde_json::Map<_, _>>().into()
}

/// Table, part and code of each reject.
fn rejects(translated: &Translated) -> Vec<(&str, &str, &str)> {
    translated.rejects.iter().map(|it| (it.table, it.part.as_deref().unwrap_or(""), it.code)).collect()
}

/// What is to be found in a column of the run, and why, where that is not what the old row has.
fn value<'a>(translated: &'a Translated, table: &str, column: &str) -> (&'a Json, &'a Json, Option<&'static str>) {
    let value = translated.values.iter().find(|value| value.table == table && value.column == column).unwrap();
    (&value.old, &value.new, value.reason)
}

#[test]
fn a_trace_becomes_a_run_with_its_times() {
    let given = trace(&[
        ("workflow_id", "Eligibility v2"),
        ("user_id", "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21"),
        ("channel", "web"),
        ("external_id", "CLM-1"),
        ("start_time", "2016-01-01 10:00:02+02"),
        ("end_time", "2016-01-01 11:00:00.123456789"),
        ("config_snapshot", r#"{"retries": 3, "rate": 1.10}"#),
    ]);
    let translated = translated(given, vec![]);
    assert_eq!(translated.rejects, []);
    let types: Vec<_> = told(&translated).into_iter().map(|(event_type, at, _)| format!("{event_type} {at}")).collect();
    assert_eq!(
        types,
        [
            "run.started 2016-01-01T08:00:02Z",
            "run.created 2016-01-01T10:00:00Z",
            "run.created 2016-01-01T11:00:00.123456Z",
            "run.completed 2016-01-01T11:00:00.123456Z",
        ]
    );
    let created = attributes_of(&translated);
    assert_eq!(created["created_by"], "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21", "a UUID is kept");
    assert_eq!(created["legacy_trace_id"], 17);
    assert_eq!(created["config_snapshot"], json!({ "retries": 3, "rate": 1.10 }));
    let legacy = json!({ "legacy": { "status": "completed", "workflow_id": "Eligibility v2" } });
    assert_eq!(created["context"], legacy);
    let (old, new, reason) = value(&translated, "workflow_trace", "workflow_id");
    assert_eq!((old, new, reason), (&json!("Eligibility v2"), &created["workflow_id"], Some(run::DERIVED_ID)));
}

#[test]
fn the_same_rows_give_the_same_events_and_another_old_system_gives_others() {
    let given = || {
        vec![
            step("5", &[]),
            row(&CONTEXT, &[("context_id", "1"), ("trace_id", "17"), ("key", "k"), ("created_at", "2016-01-01")]),
        ]
    };
    let ids = |target: &Target| -> Vec<_> {
        let translated = translate(target, &Trace::new(trace(&[]), given())).unwrap();
        translated.events.iter().map(|event| (event.subject_id, event.event_id)).collect()
    };
    assert_eq!(ids(&target()), ids(&Target { now: at("2027-01-01T00:00:00Z"), ..target() }));
    let other = ids(&Target { name: "west".to_owned(), ..target() });
    assert!(ids(&target()).iter().zip(&other).all(|(a, b)| a.0 != b.0 && a.1 != b.1));
}

#[test]
fn a_row_that_has_gone_on_gives_new_events_and_keeps_the_old_ones() {
    let open = translated(trace(&[("status", "in_progress"), ("start_time", "2016-01-01 10:00:02")]), vec![]);
    let done = translated(trace(&[("start_time", "2016-01-01 10:00:02"), ("end_time", "2016-01-01 10:05:00")]), vec![]);
    let ids = |translated: &Translated| -> BTreeMap<_, _> {
        translated.events.iter().map(|event| (event.event_id, event.clone())).collect()
    };
    let (before, after) = (ids(&open), ids(&done));
    let kept: Vec<_> = after.values().filter(|event| before.contains_key(&event.event_id)).collect();
    assert!(kept.iter().all(|event| event.same_content(&before[&event.event_id])));
    let types: Vec<_> = kept.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!((types.len(), types.contains(&"run.created"), types.contains(&"run.started")), (2, true, true));
    // What the open row said of the run gives way to what the done one says.
    let latest = |translated: &Translated| {
        translated.events.iter().filter(|event| event.event_type == "run.created").map(|event| event.occurred_at).max()
    };
    assert!(latest(&done) > latest(&open));
}

#[test]
fn what_the_times_lack_is_not_made_up_where_it_need_not_be() {
    // Ended, and nobody wrote down when it began.
    let ended = translated(trace(&[("updated_at", "2016-01-01 12:00:00")]), vec![]);
    let types: Vec<_> = told(&ended).into_iter().map(|(event_type, _, _)| event_type).collect();
    assert!(!types.contains(&"run.started".to_owned()));
    let (old, new, reason) = value(&ended, "workflow_trace", "end_time");
    assert_eq!((old, new, reason.is_some()), (&Json::Null, &json!("2016-01-01T12:00:00Z"), true));

    // Running, and nobody wrote down since when.
    let running = translated(trace(&[("status", "RUNNING"), ("end_time", "2016-01-01 12:00:00")]), vec![]);
    assert_eq!(value(&running, "workflow_trace", "start_time").1, &json!("2016-01-01T10:00:00Z"));
    assert_eq!(value(&running, "workflow_trace", "end_time").1, &Json::Null);
    assert_eq!(attributes_of(&running)["context"]["legacy"]["end_time"], "2016-01-01T12:00:00Z");

    // Pending with a start: the status counts, and the start is kept.
    let pending = translated(trace(&[("status", "queued"), ("start_time", "2016-01-01 11:00:00")]), vec![]);
    assert_eq!(value(&pending, "workflow_trace", "start_time").1, &Json::Null);
    assert_eq!(attributes_of(&pending)["context"]["legacy"]["start_time"], "2016-01-01T11:00:00Z");
}

#[test]
fn an_end_before_the_start_is_told_as_it_is() {
    let given =
        trace(&[("start_time", "2016-01-01 12:00:00"), ("end_time", "2016-01-01 11:00:00"), ("status", "failed")]);
    let translated = translated(given, vec![]);
    assert_eq!(value(&translated, "workflow_trace", "end_time").1, &json!("2016-01-01T11:00:00Z"));
    assert_eq!(value(&translated, "workflow_trace", "start_time").1, &json!("2016-01-01T12:00:00Z"));
    // A failure needs words.
    assert_eq!(value(&translated, "workflow_trace", "error_message").2, Some(run::NO_MESSAGE));
    assert!(!data_of(&translated, "run.failed")["error_message"].as_str().unwrap().is_empty());
}

#[test]
fn every_usual_status_is_known_in_letters_of_any_case_and_others_by_flag() {
    for (old, event_type) in [
        ("Pending", "run.created"),
        ("QUEUED", "run.created"),
        ("In_Progress", "run.started"),
        ("SUCCESS", "run.completed"),
        ("succeeded ", "run.completed"),
        ("Error", "run.failed"),
        ("canceled", "run.cancelled"),
        ("skipped", "run.cancelled"),
        ("TIMED_OUT", "run.timed_out"),
        ("timeout", "run.timed_out"),
    ] {
        let translated = translated(trace(&[("status", old)]), vec![]);
        assert!(told(&translated).iter().any(|(told, _, _)| told == event_type), "{old}");
    }
    let given = || Trace::new(trace(&[("status", "Aborted")]), vec![step("5", &[])]);
    let unknown = translate(&target(), &given()).unwrap();
    assert_eq!((unknown.run, unknown.events.len()), (None, 0));
    assert_eq!(rejects(&unknown), [("workflow_trace", "", "unknown_status"), ("workflow_steps", "", "trace_rejected")]);
    assert!(unknown.rejects[0].reason.contains("--status \"Aborted\""), "{}", unknown.rejects[0].reason);
    let mapped =
        Target { statuses: Statuses::usual_and([("ABORTED".to_owned(), "cancelled".parse().unwrap())]), ..target() };
    data_of(&translate(&mapped, &given()).unwrap(), "run.cancelled");
}

#[test]
fn all_rows_of_an_org_that_is_not_mapped_are_named() {
    let given = Trace::new(trace(&[("org_id", "8")]), vec![step("5", &[])]);
    let unmapped = translate(&target(), &given).unwrap();
    assert_eq!(rejects(&unmapped), [("workflow_trace", "", "unmapped_org"), ("workflow_steps", "", "unmapped_org")]);
    assert_eq!(unmapped_org(&target(), &given), Some(Some("8".to_owned())));
}

#[test]
fn a_value_that_cannot_be_stored_is_left_out_by_name_and_the_rest_goes_on() {
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    for (text, code) in [
        (r#"{"a":"\u0000"}"#, "unstorable_text"),
        (r#"{"a":1,"a":2}"#, "duplicate_key"),
        (&*deep, "too_complex"),
        (r#"{"a":1e400}"#, "number_out_of_range"),
    ] {
        let translated = translated(trace(&[("config_snapshot", text)]), vec![step("5", &[("input_data", text)])]);
        let (of_trace, of_step) = (("workflow_trace", "config_snapshot", code), ("workflow_steps", "input_data", code));
        // A step without a start has its input elsewhere, but not this one.
        assert_eq!(rejects(&translated), [of_trace, of_step], "{text}");
        data_of(&translated, "run.completed");
        data_of(&translated, "step.completed");
    }
    let huge = format!("\"{}\"", "x".repeat(1 << 20));
    let translated = translated(trace(&[]), vec![step("5", &[("start_time", "2016-01-01"), ("output_data", &huge)])]);
    assert_eq!(rejects(&translated), [("workflow_steps", "output_data", "too_complex")]);
}

#[test]
fn times_that_are_none_are_left_out_and_others_stand_in() {
    for (text, code) in
        [("infinity", "invalid_time"), ("0044-03-15 00:00:00 BC", "invalid_time"), ("2099-01-01", "time_in_future")]
    {
        let given = trace(&[("end_time", text), ("updated_at", "2016-01-01 12:00:00")]);
        let translated = translated(given, vec![]);
        assert_eq!(rejects(&translated), [("workflow_trace", "end_time", code)], "{text}");
        assert_eq!(value(&translated, "workflow_trace", "end_time").1, &json!("2016-01-01T12:00:00Z"));
    }
    let none = row(&TRACE, &[("trace_id", "17"), ("org_id", "7"), ("status", "completed")]);
    assert_eq!(rejects(&translated(none, vec![])), [("workflow_trace", "", "no_time")]);
}

#[test]
fn text_that_is_no_json_and_text_that_is_too_long_stay_as_text() {
    let long = "x".repeat(600);
    let translated = translated(
        trace(&[("config_snapshot", "retries=3"), ("external_id", &long)]),
        vec![step("5", &[("output_data", "all fine, 2 < 3")])],
    );
    assert_eq!(translated.rejects, []);
    let legacy = &attributes_of(&translated)["context"]["legacy"];
    assert_eq!((&legacy["config_snapshot"], &legacy["external_id"]), (&json!("retries=3"), &json!(long)));
    assert_eq!(data_of(&translated, "step.completed")["output_data"], "all fine, 2 < 3");
}

#[test]
fn steps_of_one_number_are_both_kept_and_of_one_id_the_first() {
    let given = vec![
        step("5", &[("step_number", "1")]),
        step("5", &[("step_number", "2")]),
        step("6", &[("step_number", "1")]),
    ];
    let translated = translated(trace(&[]), given);
    let numbers: Vec<_> =
        told(&translated).iter().filter(|it| it.0 == "step.created").map(|it| it.2["step_number"].clone()).collect();
    assert_eq!(numbers, [1, 1]);
    assert_eq!(rejects(&translated), [("workflow_steps", "", "duplicate_key")]);
    assert_eq!(translated.steps().count(), 2);
}

#[test]
fn a_steps_row_becomes_its_last_attempt() {
    let given = step(
        "5",
        &[
            ("status", "Timed_Out"),
            ("retry_count", "2"),
            ("node_id", "login"),
            ("step_name", "Log in"),
            ("start_time", "2016-01-01 10:01:00"),
            ("end_time", "2016-01-01 10:02:00"),
            ("input_data", r#"{"n": 1.50}"#),
            ("output_data", "[1]"),
            ("error_message", "no answer"),
        ],
    );
    let translated = translated(trace(&[]), vec![given]);
    assert_eq!(translated.rejects, []);
    let started = data_of(&translated, "step.started");
    assert_eq!((&started["attempt"], &started["input_data"]), (&json!(2), &json!({ "n": 1.50 })));
    let failed = data_of(&translated, "step.failed");
    assert_eq!((&failed["attempt"], &failed["error_message"]), (&json!(2), &json!("no answer")));
    let created: Vec<_> = told(&translated).into_iter().filter(|it| it.0 == "step.created").collect();
    assert_eq!(created[0].2["metadata"], json!({ "step_name": "Log in", "legacy": { "node_id": "login" } }));
    let last = json!({ "node_id": "login", "output_data": [1], "status": "Timed_Out" });
    assert_eq!((&*created[1].1, &created[1].2["metadata"]["legacy"]), ("2016-01-01T10:02:00Z", &last));
    assert_eq!(value(&translated, "workflow_steps", "status").2, Some(run::OTHER_STATUS));
    assert_eq!(value(&translated, "workflow_steps", "output_data").2, Some(step::NO_COMPLETION));
}

#[test]
fn a_pending_step_that_was_tried_before_says_what_went_wrong() {
    let given = step("5", &[("status", "pending"), ("retry_count", "1"), ("error_message", "busy")]);
    let translated = translated(trace(&[]), vec![given]);
    let retried = data_of(&translated, "step.retried");
    assert_eq!((&retried["attempt"], &retried["error_message"]), (&json!(1), &json!("busy")));
}

#[test]
fn what_hangs_on_a_step_is_told_of_it_and_what_hangs_on_the_trace_stays_in_the_ledger() {
    let of = |table, key: &'static str, id: &str, fields: &[(&'static str, &str)]| {
        row(table, &[&[(key, id), ("trace_id", "17")], fields].concat())
    };
    let day = ("created_at", "2016-01-01");
    let translated = translated(
        trace(&[]),
        vec![
            step("5", &[]),
            of(
                &EVENTS,
                "event_id",
                "1",
                &[day, ("step_id", "5"), ("event_type", "click"), ("payload", r#"{"n":1.50}"#)],
            ),
            of(&EVENTS, "event_id", "2", &[day, ("event_type", "note")]),
            of(&EVENTS, "event_id", "3", &[day, ("step_id", "99")]),
            of(&EVENTS, "event_id", "4", &[("step_id", "5")]),
            of(
                &SCREENSHOTS,
                "screenshot_id",
                "a-1",
                &[("captured_at", "2016-01-02"), ("step_id", "5"), ("uri", "s3://1")],
            ),
            of(&SCREENSHOTS, "screenshot_id", "a-2", &[("captured_at", "2016-01-02"), ("uri", "s3://2")]),
            of(&SCREENSHOTS, "screenshot_id", "a-3", &[("captured_at", "2016-01-02"), ("step_id", "5"), ("uri", "")]),
            of(&ENDPOINTS, "trace_endpoint_id", "1", &[("used_at", "2016-01-03"), ("endpoint_id", "portal 9")]),
            of(&BINDINGS, "binding_id", "1", &[day, ("step_id", "5"), ("name", "claim"), ("value", "12")]),
        ],
    );
    assert_eq!(
        rejects(&translated),
        [
            ("workflow_events", "", "orphan"),
            ("workflow_events", "", "no_time"),
            ("workflow_trace_screenshot", "", "no_value"),
        ]
    );
    let logged: Vec<_> = told(&translated)
        .into_iter()
        .filter(|it| it.0 == "step.event_logged")
        .map(|it| it.2["event"].clone())
        .collect();
    assert!(
        logged.contains(&json!({ "legacy_event_id": 1, "event_type": "click", "payload": { "n": 1.50 } })),
        "{logged:?}"
    );
    assert!(
        logged.contains(&json!({ "legacy_binding_id": 1, "event_type": "data_binding", "name": "claim", "value": 12 }))
    );
    assert_eq!(data_of(&translated, "custom.legacy_event"), json!({ "legacy_event_id": 2, "event_type": "note" }));
    assert_eq!(
        data_of(&translated, "custom.legacy_screenshot"),
        json!({ "legacy_screenshot_id": "a-2", "uri": "s3://2" })
    );
    let endpoint = data_of(&translated, "run.endpoint_used")["endpoint"].clone();
    assert_eq!(endpoint["legacy_endpoint_id"], "portal 9");
    assert!(endpoint["endpoint_id"].as_str().unwrap().parse::<events::id::EndpointId>().is_ok());
}

#[test]
fn of_context_rows_with_one_key_and_time_the_last_counts() {
    let of = |id: &str, key: &str, value: &str| {
        row(
            &CONTEXT,
            &[("context_id", id), ("trace_id", "17"), ("key", key), ("value", value), ("created_at", "2016-01-01")],
        )
    };
    let binding = row(
        &BINDINGS,
        &[("binding_id", "1"), ("trace_id", "17"), ("name", "claim"), ("value", "\"A\""), ("created_at", "2016-01-01")],
    );
    let given = vec![
        of("1", "payer", "1"),
        of("2", "payer", "\"two\""),
        of("3", "legacy", "{}"),
        of("4", "payer", "three"),
        binding,
    ];
    let translated = translated(trace(&[]), given);
    assert_eq!(translated.rejects, []);
    let context =
        told(&translated).into_iter().filter(|it| it.0 == "run.context_added" && it.2["context"]["legacy"].is_null());
    let context: Vec<_> = context.map(|(_, at, data)| format!("{at} {}", data["context"])).collect();
    assert_eq!(
        context,
        [
            r#"2016-01-01T00:00:00Z {"bindings.claim":"A"}"#,
            r#"2016-01-01T00:00:00Z {"context.legacy":{}}"#,
            r#"2016-01-01T00:00:00Z {"payer":1}"#,
            r#"2016-01-01T00:00:00.000001Z {"payer":"two"}"#,
            r#"2016-01-01T00:00:00.000002Z {"payer":"three"}"#,
        ]
    );
    let payer = translated.values.iter().find(|value| value.place == translation::Place::Context("payer".to_owned()));
    assert_eq!(payer.unwrap().old, "three");
}

#[test]
fn comparing_finds_what_changed_and_not_how_numbers_are_written() {
    let given =
        trace(&[("config_snapshot", r#"{"n": 1e2}"#), ("channel", "web"), ("updated_at", "2016-01-01 12:00:00")]);
    let translated = translated(given, vec![]);
    let mut run = json!({
        "legacy_trace_id": 17, "status": "completed", "started_at": null, "ended_at": "2016-01-01T12:00:00+00:00",
        "created_at": "2016-01-01T10:00:00+00:00", "config_snapshot": { "n": 100 }, "channel": "web", "external_id": null,
        "error_message": null, "context": { "legacy": { "status": "completed" } }, "steps": [],
    });
    let (values, differences) = compare(&translated, Some(&run), None);
    assert_eq!(values, translated.values.len());
    let found: Vec<_> = differences.iter().map(|it| (it.column.as_str(), it.reason.as_deref())).collect();
    assert_eq!(found, [("end_time", Some(course::ENDED_WHEN_LAST_HEARD_OF))]);
    run["channel"] = json!("voice");
    run["ended_at"] = json!("2016-01-01T12:00:01+00:00");
    let (_, differences) = compare(&translated, Some(&run), None);
    let found: Vec<_> = differences.iter().map(|it| (it.column.as_str(), &*it.new, it.reason.is_some())).collect();
    assert_eq!(found, [("end_time", "2016-01-01T12:00:01Z", false), ("channel", "voice", false)]);
    let (_, differences) = compare(&translated, None, None);
    assert_eq!((differences.len(), &differences[0].reason), (1, &None));
}

#[test]
fn a_formula_is_text_in_the_rejects_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rejects.csv");
    let mut report = Report::new(path.clone(), &Reject::COLUMNS);
    let reject = trace(&[]).reject("orphan", "=HYPERLINK()");
    report.write(&reject.fields()).unwrap();
    assert!(!path.exists(), "half of a file has no name");
    assert_eq!(report.finish().unwrap(), Some(path.clone()));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap().lines().nth(1),
        Some("workflow_trace,17,17,,orphan,'=HYPERLINK()")
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_an_earlier_time_goes_when_there_is_nothing_to_say() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rejects.csv");
    std::fs::write(&path, "of the run before").unwrap();
    assert_eq!(Report::new(path.clone(), &Reject::COLUMNS).finish().unwrap(), None);
    assert!(!path.exists());
    assert_eq!(Report::new(path, &Reject::COLUMNS).finish().unwrap(), None);
}

#[test]
fn rejects_and_differences_go_to_two_files() {
    let (one, other) = (std::path::Path::new("a.csv"), std::path::Path::new("b.csv"));
    assert!(two_files(one, other).is_ok());
    let error = two_files(one, std::path::Path::new("./a.csv")).unwrap_err().to_string();
    assert!(error.contains("a.csv") && error.contains("--differences"), "{error}");
}

//! Rows that are not taken, or not whole.

use super::*;
use crate::legacy::translation::Translation;

#[test]
fn rows_of_every_table_that_have_no_key_or_anothers_are_named() {
    let of = |table: &'static Table, key: Option<&str>, text: &str| {
        let texts = ["uri", "key", "endpoint_id", "name"].map(|column| (column, text));
        let times = ["created_at", "captured_at", "used_at"].map(|column| (column, "2016-01-01"));
        let key = key.map(|key| (table.key, key));
        let ids = [("trace_id", "17"), ("step_id", "5")].into_iter().chain(key);
        row(table, &ids.chain(texts).chain(times).collect::<Vec<_>>())
    };
    for table in [&EVENTS, &SCREENSHOTS, &CONTEXT, &ENDPOINTS, &BINDINGS] {
        let given = vec![step("5", &[]), of(table, Some("1"), "a"), of(table, Some("1"), "b"), of(table, None, "c")];
        let translated = translated(trace(&[]), given);
        assert_eq!(rejects(&translated), [(table.name, "", "duplicate_key"), (table.name, "", "no_key")]);
    }
}

#[test]
fn what_is_told_twice_alike_is_one_event_and_leaves_no_gap() {
    let (target, row) = (target(), trace(&[]));
    let org_id = ORG.parse().unwrap();
    let mut translation = Translation::begin(&target, org_id, 17).unwrap();
    let (now, started) = (at("2016-01-01T00:00:00Z"), events::payload::RunStarted::default());
    for _ in 0..2 {
        assert!(translation.tell(&row, None, now, &started, false).unwrap());
    }
    let completed = events::payload::RunCompleted::default();
    assert!(translation.tell(&row, None, now, &completed, false).unwrap());
    let sequences: Vec<_> = translation.finish().events.iter().map(Event::sequence).collect();
    assert_eq!(sequences, [Some(1), Some(2)]);
}

#[test]
fn a_value_of_any_column_that_is_too_long_is_left_out_whole() {
    let huge = "x".repeat(900 * 1024 + 1);
    let columns = ["channel", "external_id", "workflow_id", "user_id", "config_snapshot"];
    for column in columns {
        let translated = translated(trace(&[(column, &huge)]), vec![]);
        assert_eq!(rejects(&translated), [("workflow_trace", column, "too_complex")]);
        assert!(translated.rejects[0].reason.contains("921600"));
        assert_eq!(attributes_of(&translated)["context"], json!({ "legacy": { "status": "completed" } }));
    }
}

#[test]
fn other_columns_that_cannot_be_kept_are_named_with_what_is_wrong() {
    let huge = format!(r#"{{"image":"{}"}}"#, "f".repeat(900 * 1024));
    for (extra, code) in
        [(r#"{"a":{"b":1,"b":2}}"#, "duplicate_key"), (r#"{"a":"\u0000"}"#, "unstorable_text"), (&huge, "too_complex")]
    {
        let fields = [("trace_id", "17"), ("org_id", "7"), ("status", "completed"), ("created_at", "2016-01-01")];
        let fields = fields.map(|(column, text)| (column, text.as_bytes().to_vec()));
        let given = Row::new(&TRACE, fields.into(), Some(extra.as_bytes().to_vec()));
        let translated = translated(given, vec![]);
        assert_eq!(rejects(&translated), [("workflow_trace", "other columns", code)]);
    }
}

#[test]
fn a_trace_of_no_org_is_not_to_be_mapped() {
    let row = row(&TRACE, &[("trace_id", "17"), ("status", "completed"), ("created_at", "2016-01-01")]);
    let given = Trace::new(row, vec![]);
    let orgs = OrgMap::of(vec![format!("null={ORG}").parse().unwrap()]).unwrap();
    let target = Target { orgs, ..target() };
    let translated = translate(&target, &given).unwrap();
    assert_eq!(rejects(&translated), [("workflow_trace", "", "unmapped_org")]);
    let reason = &translated.rejects[0].reason;
    assert!(reason.contains("null") && reason.contains("view") && !reason.contains("--org-map"), "{reason}");
    assert_eq!(unmapped_org(&target, &given), Some(None));
}

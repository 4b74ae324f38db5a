use std::collections::BTreeSet;

use super::*;
use crate::payload::MICRO_STATES_MAX;

const STEP: &str = "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21";

fn refusal(event_type: &str, data: &str) -> (Code, String) {
    let Refusal { code, reason } = decode(event_type, 1, data).unwrap_err();
    (code, reason)
}

fn assert_refused(event_type: &str, data: &str, code: Code, path: &str) {
    assert_refused_as(1, event_type, data, code, path);
}

fn assert_refused_as(version: i16, event_type: &str, data: &str, code: Code, path: &str) {
    let Refusal { code: found, reason } = decode(event_type, version, data).unwrap_err();
    assert_eq!(found, code, "{event_type} {data}: {reason}");
    assert!(reason.contains(path), "{event_type} {data}: {reason}");
}

fn screenshots(data: &str, version: i16) -> Vec<String> {
    let payload = decode("step.screenshot_captured", version, data).unwrap();
    let Payload::StepScreenshotCaptured(captured) = payload else { panic!("{payload:?}") };
    captured.screenshots.iter().map(|screenshot| serde_json::to_string(screenshot).unwrap()).collect()
}

#[test]
fn every_name_is_once_in_the_catalogue() {
    let names: BTreeSet<_> = EVENT_TYPES.iter().map(|event_type| event_type.name).collect();
    assert_eq!(names.len(), EVENT_TYPES.len());
    let families: BTreeSet<_> = EVENT_TYPES.iter().map(EventType::family).collect();
    let catalogue = ["endpoint", "lookup", "portal_type", "task_signature", "task_type"];
    let requirements = ["org_policy", "payer_requirement", "requirement"];
    let runs = ["batch", "batch_row", "org", "run", "step", "user", "workflow"];
    let screens = ["macro_state", "micro_state", "ui_transition"];
    assert_eq!(families, catalogue.into_iter().chain(requirements).chain(runs).chain(screens).collect());
}

#[test]
fn a_payload_is_decoded_as_its_type() {
    let data = format!(r#"{{"step_id":"{STEP}","attempt":2,"error_message":"no such member","more":[1]}}"#);
    let Payload::StepFailed(failed) = decode("step.failed", 1, &data).unwrap() else { panic!() };
    assert_eq!((failed.step_id.to_string().as_str(), failed.attempt), (STEP, 2));
    assert_eq!(failed.error_message.as_str(), "no such member");
    assert_eq!(failed.error_details, None);
}

#[test]
fn an_explicit_null_of_an_optional_field_means_absent() {
    let started =
        format!(r#"{{"step_id":"{STEP}","attempt":null,"input_data":null,"step_number":null,"node_id":null}}"#);
    let absent = format!(r#"{{"step_id":"{STEP}"}}"#);
    assert_eq!(decode("step.started", 1, &started), decode("step.started", 1, &absent));
    let nulls = r#"{"context":null,"channel":null,"legacy_trace_id":null,"created_by":null}"#;
    assert_eq!(decode("run.created", 1, nulls), Ok(Payload::RunCreated(Default::default())));
}

#[test]
fn a_missing_or_wrong_field_is_named_by_its_path() {
    for (event_type, data, path) in [
        ("step.created", "{}".to_owned(), "data.step_id"),
        ("step.created", r#"{"step_id":5}"#.to_owned(), "data.step_id"),
        ("step.created", r#"{"step_id":null}"#.to_owned(), "data.step_id"),
        ("run.context_added", r#"{"context":[1]}"#.to_owned(), "data.context"),
        ("run.context_added", r#"{"context":null}"#.to_owned(), "data.context"),
        ("run.failed", r#"{"error_message":""}"#.to_owned(), "data.error_message"),
        ("run.failed", r#"{"error_message":{"x":1}}"#.to_owned(), "data.error_message"),
        ("run.failed", r#"{"error_message":{"$protected":1}}"#.to_owned(), "data.error_message"),
        ("org.updated", r#"{"name":""}"#.to_owned(), "data.name"),
        ("org.updated", r#"{"settings":{}}"#.to_owned(), "name"),
        ("org.updated", r#"{"name":null}"#.to_owned(), "data.name"),
        ("user.updated", r#"{"email":""}"#.to_owned(), "data.email"),
        ("user.updated", r#"{"roles":[]}"#.to_owned(), "email"),
        ("user.registered", r#"{"email":"a@b","roles":["x",1]}"#.to_owned(), "data.roles[1]"),
        ("run.created", r#"{"workflow_revision":"1"}"#.to_owned(), "data.workflow_revision"),
        ("run.created", r#"{"workflow_revision":1.5}"#.to_owned(), "data.workflow_revision"),
        ("run.created", format!(r#"{{"channel":"{}"}}"#, "c".repeat(513)), "data.channel"),
        ("run.endpoint_used", r#"{"endpoint":{"name":"x"}}"#.to_owned(), "endpoint_id"),
        ("run.retracted", "{}".to_owned(), "data.reason"),
        ("batch.submitted", r#"{"rows_expected":-1}"#.to_owned(), "data.rows_expected"),
        ("batch.failed", "{}".to_owned(), "data.error_message"),
        ("batch_row.added", r#"{"row_number":1}"#.to_owned(), "data.row_id"),
        ("run.retracted", r#"{"reason":""}"#.to_owned(), "data.reason"),
        ("run.reinstated", r#"{"reinstated_by":7}"#.to_owned(), "data.reinstated_by"),
        ("lookup.value_added", r#"{"lookup":"run_lu","code":"a","label":"A"}"#.to_owned(), "data.lookup"),
        ("lookup.value_added", r#"{"lookup":"org_type_lu","code":"","label":"A"}"#.to_owned(), "data.code"),
        ("endpoint.updated", r#"{"name":""}"#.to_owned(), "data.name"),
        (
            "task_type.defined",
            r#"{"domain":"d","action":"a","display_name":"n","x12_transaction":"27"}"#.to_owned(),
            "data.x12_transaction",
        ),
        (
            "task_type.defined",
            r#"{"domain":"d","action":"a","display_name":"n","x12_transaction":"1/2/3"}"#.to_owned(),
            "data.x12_transaction",
        ),
        ("requirement.set", r#"{"level":"required"}"#.to_owned(), "data.field"),
        ("requirement.set", r#"{"field":"npi","level":"maybe"}"#.to_owned(), "data.level"),
        ("requirement.set", r#"{"field":"npi"}"#.to_owned(), "nothing is set"),
        ("requirement.set", r#"{"field":"npi","level":"conditional"}"#.to_owned(), "rule is missing"),
        ("requirement.set", r#"{"field":"npi","level":"required","rule":{"!":[1]}}"#.to_owned(), "level conditional"),
        ("requirement.set", r#"{"field":"npi","level":"conditional","rule":{"no":1}}"#.to_owned(), "data.rule"),
        ("requirement.set", r#"{"field":"npi","validation":{"pattern":"["}}"#.to_owned(), "data.validation"),
        ("payer_requirement.set", r#"{"field":"npi","level":"required"}"#.to_owned(), "task_type_id"),
        ("org_policy.set", format!(r#"{{"field":"npi","task_type_id":"{STEP}"}}"#), "data.action"),
        ("org_policy.set", format!(r#"{{"field":"npi","task_type_id":"{STEP}","action":"add"}}"#), "nothing is set"),
        (
            "org_policy.set",
            format!(r#"{{"field":"npi","task_type_id":"{STEP}","action":"waive","level":"required"}}"#),
            "waived has none",
        ),
        ("micro_state.observed", r#"{"url":"https://portal.example/","title":""}"#.to_owned(), "data.ui"),
        (
            "micro_state.observed",
            r#"{"url":"u","title":"t","ui":{},"screenshot":{"sha256":"0"}}"#.to_owned(),
            "data.screenshot",
        ),
        ("micro_state.labelled", r#"{"label":""}"#.to_owned(), "data.label"),
        ("macro_state.defined", "{}".to_owned(), "data.name"),
        (
            "macro_state.defined",
            format!(
                r#"{{"name":"n","micro_state_ids":["{STEP}"{}]}}"#,
                format!(r#","{STEP}""#).repeat(MICRO_STATES_MAX)
            ),
            "data.micro_state_ids: it names 1001 micro-states; name at most 1000",
        ),
        ("ui_transition.observed", format!(r#"{{"from":"{STEP}","to":"{STEP}","action":""}}"#), "data.action"),
        ("task_signature.recorded", r#"{"source":"dog"}"#.to_owned(), "data.source"),
        ("step.retried", format!(r#"{{"step_id":"{STEP}"}}"#), "data.attempt"),
        ("step.retried", format!(r#"{{"step_id":"{STEP}","attempt":0}}"#), "data.attempt"),
        ("step.started", format!(r#"{{"step_id":"{STEP}","attempt":-1}}"#), "data.attempt"),
        ("step.screenshot_captured", format!(r#"{{"step_id":"{STEP}","screenshot":{{"uri":""}}}}"#), "uri"),
        (
            "step.screenshot_captured",
            format!(r#"{{"step_id":"{STEP}","screenshot":{{"uri":"x","sha256":1}}}}"#),
            "sha256",
        ),
    ] {
        assert_refused(event_type, &data, Code::InvalidEvent, path);
    }
}

#[test]
fn data_that_is_no_object_is_refused() {
    for data in ["[]", "[\"message\",null]", "null", "5", "\"text\""] {
        assert_refused("run.failed", data, Code::InvalidEvent, "object");
    }
}

#[test]
fn a_bad_id_is_refused_with_its_path() {
    for id in ["", "5", "00000000-0000-0000-0000-000000000000", "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e2g"] {
        assert_refused("step.created", &format!(r#"{{"step_id":"{id}"}}"#), Code::InvalidId, "data.step_id");
        let endpoint = format!(r#"{{"endpoint":{{"endpoint_id":"{id}"}}}}"#);
        assert_refused("run.endpoint_used", &endpoint, Code::InvalidId, "endpoint_id");
    }
}

#[test]
fn an_embedding_that_is_none_is_refused_with_its_path_and_a_code_of_its_own() {
    let screen = |more: &str| format!(r#"{{"url":"https://portal.example/","title":"Sign in","ui":{{}},{more}}}"#);
    let numbers = |count: usize, number: &str| vec![number; count].join(",");
    for (field, more, why) in [
        ("text_embedding", numbers(767, "0.1"), "it has 767 numbers; send 768"),
        ("text_embedding", numbers(512, "0.1"), "it has 512 numbers; send 768"),
        ("image_embedding", numbers(768, "0.1"), "it has 768 numbers; send 512"),
        ("text_embedding", numbers(768, "0"), "all of its numbers are zero"),
        ("image_embedding", numbers(512, "1e39"), "not finite"),
        ("text_embedding", numbers(768, "null"), "null where a number belongs"),
    ] {
        let data = screen(&format!(r#""{field}":[{more}]"#));
        assert_refused("micro_state.observed", &data, Code::InvalidEmbedding, &format!("data.{field}"));
        assert_refused("micro_state.observed", &data, Code::InvalidEmbedding, why);
    }
    let data = screen(&format!(r#""text_embedding":[{}],"image_embedding":null"#, numbers(768, "0.5")));
    let Payload::MicroStateObserved(observed) = decode("micro_state.observed", 1, &data).unwrap() else { panic!() };
    assert_eq!(observed.text_embedding.unwrap().as_slice(), [0.5; 768]);
}

#[test]
fn an_integer_outside_its_column_is_refused() {
    for number in ["2147483648", "-2147483649", "18446744073709551615", "1e300"] {
        let data = format!(r#"{{"workflow_revision":{number}}}"#);
        assert_refused("run.created", &data, Code::NumberOutOfRange, "data.workflow_revision");
    }
    assert_refused(
        "run.created",
        r#"{"legacy_trace_id":9223372036854775808}"#,
        Code::NumberOutOfRange,
        "legacy_trace_id",
    );
    let data = format!(r#"{{"step_id":"{STEP}","attempt":5000000000}}"#);
    assert_refused("step.retried", &data, Code::NumberOutOfRange, "data.attempt");
}

#[test]
fn an_integer_is_read_however_it_is_written() {
    let data = r#"{"workflow_revision":1e2,"legacy_trace_id":-0}"#;
    let Payload::RunStarted(started) = decode("run.started", 1, data).unwrap() else { panic!() };
    assert_eq!((started.0.workflow_revision, started.0.legacy_trace_id), (Some(100), Some(0)));
}

#[test]
fn a_protected_value_stands_in_place_of_any_text_or_object() {
    let protected = r#"{"$protected":{"v":1,"alg":"A256GCM","kid":"k","ct":"…"}}"#;
    for (event_type, data) in [
        ("org.registered", format!(r#"{{"name":{protected},"org_type":{protected},"settings":{protected}}}"#)),
        ("user.registered", format!(r#"{{"email":{protected},"display_name":{protected},"roles":{protected}}}"#)),
        (
            "run.created",
            format!(r#"{{"channel":{protected},"external_id":{protected},"context":{{"k":{protected}}}}}"#),
        ),
        ("run.endpoint_used", format!(r#"{{"endpoint":{protected}}}"#)),
        ("run.failed", format!(r#"{{"error_message":{protected},"error_details":{protected}}}"#)),
        ("step.screenshot_captured", format!(r#"{{"step_id":"{STEP}","screenshot":{protected}}}"#)),
        ("step.screenshot_captured", format!(r#"{{"step_id":"{STEP}","screenshot":{{"uri":{protected}}}}}"#)),
        ("run.retracted", format!(r#"{{"reason":{protected}}}"#)),
    ] {
        decode(event_type, 1, &data).unwrap();
    }
    let Payload::RunFailed(failed) = decode("run.failed", 1, &format!(r#"{{"error_message":{protected}}}"#)).unwrap()
    else {
        panic!()
    };
    assert!(failed.error_message.is_protected());
    assert_eq!(failed.error_message.as_str(), protected);
    assert_eq!(serde_json::to_string(&failed).unwrap(), format!(r#"{{"error_message":{protected}}}"#));
    assert_refused("step.created", &format!(r#"{{"step_id":{protected}}}"#), Code::InvalidEvent, "data.step_id");
}

#[test]
fn values_keep_their_exact_text() {
    let data = r#"{"context":{"b": 1.10 ,"a":[1,  2],"n":0.1000000000000000055511151231257827}}"#;
    let Payload::RunContextAdded(added) = decode("run.context_added", 1, data).unwrap() else { panic!() };
    let members: Vec<_> = added.context.iter().map(|(key, value)| (key, value.as_str())).collect();
    assert_eq!(members, [("a", "[1,  2]"), ("b", "1.10"), ("n", "0.1000000000000000055511151231257827")]);
}

#[test]
fn a_custom_type_takes_any_data() {
    assert_eq!(decode("custom.billing.sent", 7, "null"), Ok(Payload::Custom));
}

#[test]
fn unknown_types_and_newer_versions_say_so() {
    assert_eq!(refusal("run.vanished", "{}").0, Code::UnknownType);
    assert_eq!(refusal("custom.", "{}").0, Code::UnknownType);
    assert_eq!(refusal("customs.x", "{}").0, Code::UnknownType);
    assert_eq!(decode("run.started", 2, "{}").unwrap_err().code, Code::UnknownVersion);
    assert_eq!(decode("run.started", 0, "{}").unwrap_err().code, Code::InvalidEvent);
}

#[test]
fn an_older_version_is_read_strictly_as_that_version_and_a_refusal_says_so() {
    let (one, several) = (r#"{"uri":"s3://shots/1"}"#, r#"[{"uri":"s3://shots/1"},{"uri":"s3://shots/2"}]"#);
    let first = format!(r#"{{"step_id":"{STEP}","screenshot":{one}}}"#);
    let second = format!(r#"{{"step_id":"{STEP}","screenshots":{several}}}"#);
    assert_eq!(screenshots(&first, 1), [one]);
    assert_eq!(screenshots(&second, 2), [one, r#"{"uri":"s3://shots/2"}"#]);
    let captured = "step.screenshot_captured";
    for part in
        ["data.screenshot is missing", "version 1 of step.screenshot_captured", "read as version 1", ":captured:2"]
    {
        assert_refused(captured, &second, Code::InvalidEvent, &part.replace(":captured", ":step.screenshot_captured"));
    }
    for part in ["data.screenshots is missing", "version 2 of step.screenshot_captured"] {
        assert_refused_as(2, captured, &first, Code::InvalidEvent, part);
    }
    assert_refused_as(3, captured, &second, Code::UnknownVersion, "up to version 2");
}

#[test]
fn a_step_captures_one_to_a_hundred_screenshots_at_once() {
    let shots = |screenshots: &[&str]| format!(r#"{{"step_id":"{STEP}","screenshots":[{}]}}"#, screenshots.join(","));
    let one = r#"{"uri":"s3://shots/1"}"#;
    assert_eq!(screenshots(&shots(&[one; 100]), 2).len(), 100);
    for (data, path) in [
        (shots(&[]), "data.screenshots: it has 0 screenshots"),
        (shots(&[one; 101]), "data.screenshots: it has 101 screenshots"),
        (shots(&[one, r#"{"uri":""}"#]), "data.screenshots[1]: its `uri` is empty"),
        (shots(&[one, one, r#"{"sha256":"00"}"#]), "data.screenshots[2]: its `uri` is missing"),
        (shots(&["7"]), "data.screenshots[0]"),
        (shots(&[one]).replace(&format!("[{one}]"), one), "data.screenshots: it is an object; send a list"),
        (shots(&[one]).replace(&format!("[{one}]"), "null"), "data.screenshots"),
    ] {
        assert_refused_as(2, "step.screenshot_captured", &data, Code::InvalidEvent, path);
    }
}

#[test]
fn a_protected_value_stands_in_place_of_a_screenshot_and_of_the_whole_list() {
    let protected = r#"{"$protected":{"v":1,"alg":"A256GCM","kid":"k","ct":"…"}}"#;
    for value in [protected.to_owned(), format!("[{protected}]")] {
        assert_eq!(screenshots(&format!(r#"{{"step_id":"{STEP}","screenshots":{value}}}"#), 2), [protected]);
    }
}

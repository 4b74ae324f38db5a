use std::{fs, mem::discriminant, path::Path};

use proptest::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::*;
use crate::catalogue::{EVENT_TYPES, decode};

fn example(event_type: &str, version: i16) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples");
    fs::read_to_string(examples.join(format!("{event_type}.{version}.json"))).unwrap()
}

#[test]
fn every_older_version_of_a_type_has_one_upcaster_which_ends_in_that_type() {
    let mut older = 0;
    for newest in EVENT_TYPES {
        let payload = decode(newest.name, newest.version, &example(newest.name, newest.version)).unwrap();
        for version in 1..newest.version {
            assert!(find(newest.name, version).is_some(), "{} version {version} has no upcaster", newest.name);
            let lifted = decode(newest.name, version, &example(newest.name, version)).unwrap();
            assert_eq!(discriminant(&lifted), discriminant(&payload), "{} version {version}", newest.name);
            older += 1;
        }
    }
    assert_eq!(UPCASTERS.len(), older, "a line is double, or of no older version of any type");
}

/// Beside the example: what else a version took, at the edges of what it says.
#[test]
fn payloads_that_an_older_version_accepted_are_accepted_for_ever() {
    for older in UPCASTERS {
        let name = format!("accepted/{}", older.event_type);
        let payloads: Vec<Value> = serde_json::from_str(&example(&name, older.version)).unwrap();
        for data in payloads {
            let payload = decode(older.event_type, older.version, &data.to_string());
            assert!(payload.is_ok(), "{} version {}: {data}: {payload:?}", older.event_type, older.version);
        }
    }
}

#[test]
fn the_committed_screenshot_of_version_1_becomes_a_list_of_one() {
    let older: Value = serde_json::from_str(&example("step.screenshot_captured", 1)).unwrap();
    let lifted = decode("step.screenshot_captured", 1, &older.to_string()).unwrap();
    let Payload::StepScreenshotCaptured(lifted) = lifted else { panic!("{lifted:?}") };
    let expected = serde_json::json!({ "step_id": older["step_id"], "screenshots": [older["screenshot"]] });
    assert_eq!(serde_json::to_value(&lifted).unwrap(), expected);
}

/// Whether what came out of an upcaster is a payload of the newest version by the door's measure.
fn assert_is_of_the_newest_version(event_type: &str, lifted: &impl Serialize, payload: &Payload) {
    let newest = catalogue::find(event_type).unwrap().version;
    assert_eq!(decode(event_type, newest, &serde_json::to_string(lifted).unwrap()).as_ref(), Ok(payload));
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9]{0,4}".prop_map(|text| format!("{text:?}")),
        Just("null".to_owned()),
        Just(" 1.50 ".to_owned()),
        Just(r#"{"$protected":{"v":1}}"#.to_owned()),
        Just("[{\"a\":\t7}]".to_owned()),
    ]
}

proptest! {
    #[test]
    fn what_the_door_takes_as_version_1_is_version_2_after_the_upcast(
        members in prop::collection::btree_map(prop_oneof![Just("uri"), Just("sha256"), Just("of"), Just("$protected")], value(), 0..4),
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        let screenshot = format!("{{{}}}", members.join(", "));
        let data = format!(r#"{{"step_id":"018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e30","screenshot":{screenshot}}}"#);
        if let Ok(payload) = decode("step.screenshot_captured", 1, &data) {
            let Payload::StepScreenshotCaptured(lifted) = &payload else { panic!("{payload:?}") };
            prop_assert_eq!(lifted.screenshots.len(), 1);
            prop_assert_eq!(&lifted.screenshots[0], &serde_json::from_str(&screenshot).unwrap());
            assert_is_of_the_newest_version("step.screenshot_captured", lifted, &payload);
        }
    }
}

//! The committed JSON Schemas and examples agree with the Rust types.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p events --features schema` rewrites the schemas.
#![cfg(feature = "schema")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use events::catalogue::{self, EVENT_TYPES, EventType};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn file_name(event_type: &EventType) -> String {
    format!("{}.{}.json", event_type.name, event_type.version)
}

fn json_files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is committed");
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".json")).collect()
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for event_type in EVENT_TYPES {
        let path = schemas().join(file_name(event_type));
        let schema = event_type.schema().to_value();
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
        }
        // Compared as values: the order of keys is nobody's business.
        let committed: serde_json::Value =
            fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        assert_eq!(
            committed,
            schema,
            "{} drifted; run with UPDATE_SCHEMAS=1 and look at the difference",
            path.display()
        );
    }
}

#[test]
fn there_is_a_schema_and_an_example_of_every_type_and_of_nothing_else() {
    let types: BTreeSet<_> = EVENT_TYPES.iter().map(file_name).collect();
    // Schemas of older versions stay: their events do.
    assert!(json_files(&schemas()).is_superset(&types));
    assert_eq!(json_files(&schemas().join("examples")), types);
}

#[test]
fn every_example_is_a_valid_payload() {
    for event_type in EVENT_TYPES {
        let path = schemas().join("examples").join(file_name(event_type));
        let data = fs::read_to_string(&path).unwrap();
        if let Err(refusal) = catalogue::decode(event_type.name, event_type.version, &data) {
            panic!("{}: {refusal}", path.display());
        }
    }
}

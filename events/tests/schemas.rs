//! The committed JSON Schemas and examples agree with the Rust types, those of older versions too.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p events --features schema` writes schemas that are not there yet. One
//! that is there is never written again: `.ci/check-schemas` compares it with its first commit.
#![cfg(feature = "schema")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use events::{
    catalogue::{self, EVENT_TYPES},
    upcast::UPCASTERS,
};
use serde_json::Value;

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// Every version of every type.
fn versions() -> impl Iterator<Item = (&'static str, i16, Value)> {
    let newest = EVENT_TYPES.iter().map(|newest| (newest.name, newest.version, newest.schema().to_value()));
    newest.chain(UPCASTERS.iter().map(|older| (older.event_type, older.version, older.schema().to_value())))
}

fn file_name(event_type: &str, version: i16) -> String {
    format!("{event_type}.{version}.json")
}

fn json_files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is committed");
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".json")).collect()
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (event_type, version, schema) in versions() {
        let path = schemas().join(file_name(event_type, version));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() && !path.exists() {
            fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
        }
        // Compared as values: the order of keys is nobody's business.
        let committed: Value =
            fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        assert_eq!(
            committed,
            schema,
            "{path} is not the schema of its type. A version that was committed never changes: give {event_type} \
             version {}. One that was not: delete the file. Then run with UPDATE_SCHEMAS=1",
            version + 1,
            path = path.display(),
        );
    }
}

#[test]
fn there_is_a_schema_and_an_example_of_every_version_of_every_type_and_of_nothing_else() {
    let files: BTreeSet<_> = versions().map(|(event_type, version, _)| file_name(event_type, version)).collect();
    assert_eq!(json_files(&schemas()), files);
    assert_eq!(json_files(&schemas().join("examples")), files);
}

#[test]
fn every_example_is_a_valid_payload_of_its_version() {
    for (event_type, version, _) in versions() {
        let path = schemas().join("examples").join(file_name(event_type, version));
        let data = fs::read_to_string(&path).unwrap();
        if let Err(refusal) = catalogue::decode(event_type, version, &data) {
            panic!("{}: {refusal}", path.display());
        }
    }
}

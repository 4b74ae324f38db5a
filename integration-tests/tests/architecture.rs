//! Dependencies between our crates point one way.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

#[test]
fn our_crates_depend_on_each_other_in_one_direction_only() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::from([
        ("events", BTreeSet::new()),
        ("ledger", BTreeSet::from(["events"])),
        ("projector", BTreeSet::from(["events", "ledger"])),
        ("stack", BTreeSet::from(["events", "ledger", "projector"])),
        ("runledger", BTreeSet::from(["events", "ledger", "projector", "stack"])),
        ("bench", BTreeSet::from(["events", "ledger", "projector", "stack"])),
        ("integration-tests", BTreeSet::from(["events", "ledger", "projector", "stack"])),
    ]);
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let dependencies =
            package["dependencies"].as_array().unwrap().iter().map(|dependency| dependency["name"].as_str().unwrap());
        let dependencies: BTreeSet<&str> = dependencies.filter(|dependency| ours.contains(dependency)).collect();
        let allowed = allowed.get(name).unwrap_or_else(|| panic!("say here what {name} may depend on"));
        assert!(
            dependencies.is_subset(allowed),
            "{name} depends on {:?}",
            dependencies.difference(allowed).collect::<Vec<_>>()
        );
    }
}

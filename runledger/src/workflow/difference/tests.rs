use serde_json::value::to_raw_value;

use super::*;

fn differences(from: serde_json::Value, to: serde_json::Value) -> Vec<String> {
    let [from, to] = [from, to].map(|row| to_raw_value(&row).unwrap());
    let difference = RevisionDifference::between(&from, &to).unwrap();
    let parts = [("node", &difference.nodes), ("transition", &difference.transitions)];
    let parts = parts.into_iter().flat_map(|(name, parts)| {
        parts.iter().map(move |part| format!("{name} {} {}", part.change, serde_json::to_string(&part.fields).unwrap()))
    });
    [serde_json::to_string(&difference.fields).unwrap()].into_iter().chain(parts).collect()
}

fn row(nodes: serde_json::Value, transitions: serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "name": "w", "nodes": nodes, "transitions": transitions })
}

#[test]
fn nodes_are_known_by_their_ids_and_told_field_by_field() {
    let from = serde_json::json!([
        { "node_id": "A", "label": "a", "metadata": { "agent_config": { "n": 1.5 }, "x": 1 } },
        { "node_id": "b", "label": "b" },
        { "node_id": "c", "label": "c" },
    ]);
    let to = serde_json::json!([
        { "node_id": "c", "label": "c" },
        { "node_id": "a", "label": "a", "metadata": { "agent_config": { "n": 2 }, "x": 1 } },
        { "node_id": "d", "label": "d" },
    ]);
    let told = differences(row(from, serde_json::json!([])), row(to, serde_json::json!([])));
    assert_eq!(
        told,
        [
            "{}",
            r#"node changed {"metadata.agent_config.n":[1.5,2],"node_id":["A","a"]}"#,
            "node removed {}",
            "node added {}"
        ]
    );
}

#[test]
fn transitions_are_known_by_their_nodes_and_those_that_share_them_by_their_order() {
    let transitions = |conditions: [&str; 2]| {
        let [first, second] = conditions;
        serde_json::json!([{ "from": "a", "to": "b", "condition": first }, { "from": "a", "to": "b", "condition": second }])
    };
    let rows = [transitions(["x", "y"]), transitions(["x", "z"])].map(|it| row(serde_json::json!([]), it));
    let [from, to] = rows;
    assert_eq!(differences(from.clone(), from.clone()), ["{}"]);
    assert_eq!(differences(from, to), ["{}", r#"transition changed {"condition":["y","z"]}"#]);
}

#[test]
fn the_name_is_compared_too() {
    let mut renamed = row(serde_json::json!([]), serde_json::json!([]));
    let before = renamed.clone();
    renamed["name"] = "v".into();
    assert_eq!(differences(before, renamed), [r#"{"name":["w","v"]}"#]);
}

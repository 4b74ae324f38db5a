use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    catalogue::{Payload, decode},
    refusal::Code,
};

fn node_id(number: usize) -> NodeId {
    Uuid::from_u128(number as u128 + 1).try_into().unwrap()
}

/// Nodes called `n0`, `n1` … and these transitions between them.
fn graph(nodes: usize, edges: &[(usize, usize)]) -> WorkflowDefinition {
    let node = |number| WorkflowNode {
        node_id: node_id(number),
        label: format!("n{number}").into(),
        kind: None,
        metadata: None,
    };
    let transition =
        |(from, to): &(usize, usize)| WorkflowTransition { from: node_id(*from), to: node_id(*to), condition: None };
    WorkflowDefinition {
        name: "w".into(),
        revision: 1,
        description: None,
        created_by: None,
        nodes: (0..nodes).map(node).collect(),
        transitions: edges.iter().map(transition).collect(),
    }
}

fn reason(definition: WorkflowDefinition) -> String {
    let refusal = definition.checked().unwrap_err();
    assert_eq!(refusal.code, Code::InvalidEvent);
    refusal.reason
}

#[test]
fn branches_joins_several_starts_and_lone_nodes_are_a_graph() {
    graph(7, &[(0, 1), (0, 2), (1, 3), (2, 3), (4, 3), (3, 5), (3, 5)]).checked().unwrap();
    graph(1, &[]).checked().unwrap();
}

#[test]
fn a_cycle_is_refused_with_its_last_transition_and_the_labels_along_it() {
    let told = reason(graph(5, &[(0, 1), (1, 2), (2, 3), (3, 1), (3, 4)]));
    assert!(told.starts_with("/transitions/3: it closes the cycle n1 → n2 → n3 → n1;"), "{told}");
    let told = reason(graph(2, &[(0, 1), (1, 1)]));
    assert!(told.starts_with("/transitions/1: it closes the cycle n1 → n1;"), "{told}");
}

#[test]
fn a_graph_without_a_start_is_refused() {
    let told = reason(graph(3, &[(0, 1), (1, 2), (2, 0)]));
    assert!(told.starts_with("/nodes: there is no start") && told.contains("n0 → n1 → n2 → n0"), "{told}");
    assert!(reason(graph(0, &[])).starts_with("/nodes: there is no start"));
}

#[test]
fn a_transition_to_no_node_and_a_node_that_stands_twice_are_refused_with_their_place() {
    let told = reason(graph(2, &[(0, 1), (1, 0), (0, 7)]));
    assert!(told.starts_with(&format!("/transitions/2/to: there is no node {}", node_id(7))), "{told}");
    assert!(reason(graph(2, &[(7, 0)])).starts_with("/transitions/0/from: "));
    let mut twice = graph(3, &[]);
    twice.nodes[2].node_id = node_id(0);
    let told = reason(twice);
    assert!(told.starts_with("/nodes/2/node_id: ") && told.contains("/nodes/0"), "{told}");
}

#[test]
fn a_huge_graph_is_checked_in_a_moment_and_its_cycle_told_in_a_line() {
    const NODES: usize = 100_000;
    let chain: Vec<_> = (1..NODES).map(|to| (to - 1, to)).collect();
    graph(NODES, &chain).checked().unwrap();
    let circle: Vec<_> = chain.iter().copied().chain([(NODES - 1, 1)]).collect();
    let told = reason(graph(NODES, &circle));
    assert!(told.starts_with("/transitions/99999: ") && told.contains("… 99987 more … → n1;"), "{told}");
    let star: Vec<_> = (1..NODES).map(|to| (0, to)).collect();
    graph(NODES, &star).checked().unwrap();
    let mut long = graph(1, &[(0, 0)]);
    long.nodes[0].label = "é".repeat(1 << 20).into();
    assert!(reason(long).len() < 500);
}

#[test]
fn a_payload_is_refused_at_its_place_and_read_with_what_it_says() {
    let data = |rest: &str| format!(r#"{{"name":"w","revision":2,{rest}}}"#);
    let node = format!(r#"{{"node_id":"{}","label":"a"}}"#, node_id(0));
    for (rest, expected) in [
        (r#""nodes":[]"#.to_owned(), "/nodes: there is no start"),
        (r#""nodes":[{"node_id":"5","label":"a"}]"#.to_owned(), "data.nodes[0].node_id"),
        (format!(r#""nodes":[{}]"#, node.replace("\"a\"", "\"\"")), "data.nodes[0].label"),
        (format!(r#""nodes":[{node}],"transitions":[{{"from":"{0}","to":"{0}"}}]"#, node_id(0)), "a → a"),
        (format!(r#""nodes":[{node}],"transitions":[{{"from":"{}"}}]"#, node_id(0)), "data.transitions[0].to"),
        (
            format!(r#""nodes":[{}]"#, node.replace('}', r#","metadata":{"agent_type":7}}"#)),
            "data.nodes[0].metadata: its `agent_type`",
        ),
    ] {
        for event_type in ["workflow.created", "workflow.revised"] {
            let refusal = decode(event_type, 1, &data(&rest)).unwrap_err();
            assert!(refusal.reason.contains(expected), "{rest}: {refusal}");
        }
    }
    let refusal = decode("workflow.created", 1, &data("\"nodes\":[]").replace('2', "0")).unwrap_err();
    assert!(refusal.reason.starts_with("data.revision: it is 0"), "{refusal}");
    let taken = data(&format!(r#""nodes":[{node}],"transitions":null"#));
    let Payload::WorkflowRevised(revised) = decode("workflow.revised", 1, &taken).unwrap() else { panic!() };
    assert_eq!(revised.into_definition(), WorkflowDefinition { revision: 2, ..relabelled(graph(1, &[])) });
}

fn relabelled(mut definition: WorkflowDefinition) -> WorkflowDefinition {
    definition.nodes[0].label = "a".into();
    definition
}

/// Whether a walk that takes nodes off that nothing leads to takes all of them: slow and plain.
fn is_acyclic(nodes: usize, edges: &[(usize, usize)]) -> bool {
    let mut left: Vec<usize> = (0..nodes).collect();
    loop {
        let (free, rest): (Vec<_>, Vec<_>) =
            left.iter().partition(|node| !edges.iter().any(|(from, to)| to == *node && left.contains(from)));
        if rest.is_empty() || free.is_empty() {
            return rest.is_empty();
        }
        left = rest;
    }
}

proptest! {
    #[test]
    fn a_graph_is_taken_exactly_if_it_has_no_cycle(
        edges in prop::collection::vec((0..8usize, 0..8usize), 0..14),
    ) {
        prop_assert_eq!(graph(8, &edges).checked().is_ok(), is_acyclic(8, &edges));
    }

    #[test]
    fn the_cycle_that_is_told_is_one(edges in prop::collection::vec((0..6usize, 0..6usize), 6..14)) {
        if let Err(refusal) = graph(6, &edges).checked() {
            let told = refusal.reason.split_once("cycle ").unwrap().1.split_once(';').unwrap().0;
            let nodes: Vec<usize> = told.split(" → ").map(|label| label[1..].parse().unwrap()).collect();
            prop_assert_eq!(nodes.first(), nodes.last());
            prop_assert!(nodes.windows(2).all(|pair| edges.contains(&(pair[0], pair[1]))), "{} of {:?}", told, edges);
        }
    }
}

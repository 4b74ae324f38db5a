use events::payload::{WorkflowNode, WorkflowTransition};
use uuid::Uuid;

use super::*;

fn node_id(number: usize) -> NodeId {
    Uuid::from_u128(number as u128 + 1).try_into().unwrap()
}

/// The transitions that a run took, which came to these nodes.
fn taken(nodes: usize, edges: &[(usize, usize)], path: &[usize]) -> Vec<(usize, usize)> {
    let node = |number| WorkflowNode { node_id: node_id(number), label: "n".into(), kind: None, metadata: None };
    let transition =
        |(from, to): &(usize, usize)| WorkflowTransition { from: node_id(*from), to: node_id(*to), condition: None };
    let definition = Definition {
        revision: 1,
        name: "w".to_owned(),
        nodes: (0..nodes).map(node).collect(),
        transitions: edges.iter().map(transition).collect(),
    };
    let graph = definition.graph();
    let steps: Vec<PathStep> = path.iter().map(|number| step(Some(node_id(*number)))).collect();
    let path = Path::of(&definition, &graph, &steps);
    edges.iter().zip(path.is_taken).filter(|(_, is_taken)| *is_taken).map(|(edge, _)| *edge).collect()
}

fn step(node_id: Option<NodeId>) -> PathStep {
    PathStep { step_id: StepId::generate(), node_id, status: "completed".to_owned(), duration_ms: None }
}

#[test]
fn a_transition_with_steps_at_both_ends_is_taken() {
    let edges = [(0, 1), (0, 2), (1, 3), (2, 3)];
    assert_eq!(taken(4, &edges, &[0, 2, 3]), [(0, 2), (2, 3)]);
    assert_eq!(taken(4, &edges, &[0, 1, 2, 3]), edges);
    assert_eq!(taken(4, &edges, &[3, 0]), []);
}

#[test]
fn a_way_past_nodes_that_the_run_came_to_is_not_taken() {
    let edges = [(0, 1), (1, 2), (0, 2), (0, 3), (2, 3)];
    assert_eq!(taken(4, &edges, &[0, 1, 2, 3]), [(0, 1), (1, 2), (2, 3)]);
    assert_eq!(taken(4, &edges, &[0, 2, 3]), [(0, 2), (2, 3)]);
    assert_eq!(taken(4, &edges, &[0, 3]), [(0, 3)]);
}

#[test]
fn steps_on_no_node_are_told_apart() {
    let definition = Definition { revision: 1, name: "w".to_owned(), nodes: Vec::new(), transitions: Vec::new() };
    let steps = [step(None), step(Some(node_id(7)))];
    assert_eq!(Path::of(&definition, &definition.graph(), &steps).elsewhere.len(), 2);
}

#[test]
fn a_step_that_was_skipped_or_not_begun_leads_nowhere() {
    let node = |number| WorkflowNode { node_id: node_id(number), label: "n".into(), kind: None, metadata: None };
    let transition = |from, to| WorkflowTransition { from: node_id(from), to: node_id(to), condition: None };
    let definition = Definition {
        revision: 1,
        name: "w".to_owned(),
        nodes: (0..3).map(node).collect(),
        transitions: vec![transition(0, 1), transition(0, 2)],
    };
    let with_status = |number, status: &str| PathStep { status: status.to_owned(), ..step(Some(node_id(number))) };
    let steps = [step(Some(node_id(0))), with_status(1, "skipped"), with_status(2, "pending")];
    assert_eq!(Path::of(&definition, &definition.graph(), &steps).is_taken, [false, false]);
}

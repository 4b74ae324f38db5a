//! Whether nodes and transitions are a graph that a run can follow. Time and memory are linear in the graph,
//! whatever it is: nothing here calls itself.

use std::{collections::HashMap, fmt::Write};

use super::{WorkflowNode, WorkflowTransition};
use crate::{
    id::NodeId,
    refusal::{Code, Refusal},
};

/// So many labels of a cycle are named …
const LABELS_MAX: usize = 12;
/// … each by so many characters.
const LABEL_CHARS_MAX: usize = 48;

/// A transition by the places of its nodes.
struct Edge {
    from: usize,
    to: usize,
}

/// # Errors
/// `invalid_event`, with the place as a JSON Pointer.
pub fn check(nodes: &[WorkflowNode], transitions: &[WorkflowTransition]) -> Result<(), Refusal> {
    if nodes.is_empty() {
        return Err(refusal("/nodes", "there is no start, because there is no node; send at least one"));
    }
    let edges = edges(&places(nodes)?, transitions)?;
    let mut incoming = vec![0_usize; nodes.len()];
    edges.iter().for_each(|edge| incoming[edge.to] += 1);
    let starts: Vec<usize> = (0..nodes.len()).filter(|place| incoming[*place] == 0).collect();
    let has_start = !starts.is_empty();
    let Some(cycle) = cycle(&edges, incoming, starts) else { return Ok(()) };
    let labels = labels(nodes, cycle.iter().map(|number| &edges[*number]));
    Err(match cycle.last() {
        Some(closing) if has_start => refusal(
            &format!("/transitions/{closing}"),
            &format!("it closes the cycle {labels}; leave one of these transitions out"),
        ),
        _ => refusal(
            "/nodes",
            &format!("there is no start: a transition leads to every node, as in the cycle {labels}; leave one out"),
        ),
    })
}

fn refusal(pointer: &str, what: &str) -> Refusal {
    Refusal::new(Code::InvalidEvent, format!("{pointer}: {what}"))
}

fn places(nodes: &[WorkflowNode]) -> Result<HashMap<NodeId, usize>, Refusal> {
    let mut places = HashMap::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        if let Some(first) = places.insert(node.node_id, place) {
            let what = format!("{} is the id of /nodes/{first} too; give each node its own", node.node_id);
            return Err(refusal(&format!("/nodes/{place}/node_id"), &what));
        }
    }
    Ok(places)
}

fn edges(places: &HashMap<NodeId, usize>, transitions: &[WorkflowTransition]) -> Result<Vec<Edge>, Refusal> {
    let place = |number: usize, end: &str, node_id: NodeId| {
        places.get(&node_id).copied().ok_or_else(|| {
            let what = format!("there is no node {node_id} among /nodes; add it, or leave the transition out");
            refusal(&format!("/transitions/{number}/{end}"), &what)
        })
    };
    let edge = |(number, transition): (usize, &WorkflowTransition)| {
        Ok(Edge { from: place(number, "from", transition.from)?, to: place(number, "to", transition.to)? })
    };
    transitions.iter().enumerate().map(edge).collect()
}

/// The transitions of a cycle, by their places: the one that was sent last stands last, and each begins
/// where the one before it ends. `incoming` counts the transitions to each node, `starts` are nodes without.
fn cycle(edges: &[Edge], mut incoming: Vec<usize>, starts: Vec<usize>) -> Option<Vec<usize>> {
    let mut outgoing = vec![Vec::new(); incoming.len()];
    edges.iter().for_each(|edge| outgoing[edge.from].push(edge.to));
    // Whatever can be reached in order is taken away; what is left is on cycles or behind them.
    let mut ready = starts;
    while let Some(place) = ready.pop() {
        for &to in &outgoing[place] {
            incoming[to] -= 1;
            if incoming[to] == 0 {
                ready.push(to);
            }
        }
    }
    // A transition to each node that is left, from one that is left too: going back along them ends in a circle.
    let mut back: Vec<Option<usize>> = vec![None; incoming.len()];
    for (number, edge) in edges.iter().enumerate() {
        if incoming[edge.from] > 0 && incoming[edge.to] > 0 {
            back[edge.to] = Some(number);
        }
    }
    let mut place = incoming.iter().position(|left| *left > 0)?;
    for _ in 0..incoming.len() {
        place = edges[back[place]?].from;
    }
    let mut circle = Vec::new();
    let first = place;
    loop {
        let number = back[place]?;
        circle.push(number);
        place = edges[number].from;
        if place == first {
            break;
        }
    }
    circle.reverse();
    let last = circle.iter().enumerate().max_by_key(|(_, number)| **number).map_or(0, |(at, _)| at);
    circle.rotate_left(last + 1);
    Some(circle)
}

/// The labels along a cycle, the first again at the end.
fn labels<'e>(nodes: &[WorkflowNode], cycle: impl ExactSizeIterator<Item = &'e Edge> + Clone) -> String {
    let mut labels = String::new();
    for edge in cycle.clone().take(LABELS_MAX) {
        let _ = write!(labels, "{} → ", label(&nodes[edge.from]));
    }
    if let Some(more) = cycle.len().checked_sub(LABELS_MAX + 1) {
        let _ = write!(labels, "… {} more … → ", more + 1);
    }
    labels + &cycle.last().map_or_else(String::new, |edge| label(&nodes[edge.to]))
}

fn label(node: &WorkflowNode) -> String {
    if node.label.is_protected() {
        return node.node_id.to_string();
    }
    let mut chars = node.label.as_str().chars();
    let label: String = chars.by_ref().take(LABEL_CHARS_MAX).collect();
    if chars.next().is_some() { format!("{label}…") } else { label }
}

//! The path that a run took through the revision it followed.

use std::collections::HashMap;

use events::id::{NodeId, StepId};
use serde::Deserialize;

use super::{Definition, Graph};

/// What is needed of a step.
#[derive(Clone, Deserialize)]
pub struct PathStep {
    pub step_id: StepId,
    pub node_id: Option<NodeId>,
    pub status: String,
    pub duration_ms: Option<i64>,
}

/// The steps of a run on the nodes of a definition.
pub struct Path<'a> {
    /// The steps on each node, in the order of the run's steps.
    pub on_nodes: Vec<Vec<&'a PathStep>>,
    /// Of each transition whether the run seems to have taken it.
    pub is_taken: Vec<bool>,
    /// Steps that name no node, or none of this definition.
    pub elsewhere: Vec<&'a PathStep>,
}

impl<'a> Path<'a> {
    /// The path that these steps make.
    pub fn of(definition: &Definition, graph: &Graph, steps: &'a [PathStep]) -> Self {
        let places: HashMap<NodeId, usize> = definition.nodes.iter().map(|node| node.node_id).zip(0..).collect();
        let (mut on_nodes, mut elsewhere) = (vec![Vec::new(); definition.nodes.len()], Vec::new());
        for step in steps {
            match step.node_id.and_then(|node_id| places.get(&node_id)) {
                Some(place) => on_nodes[*place].push(step),
                None => elsewhere.push(step),
            }
        }
        let was_begun = |step: &&PathStep| !matches!(step.status.as_str(), "pending" | "skipped");
        let is_come_to: Vec<bool> = on_nodes.iter().map(|steps| steps.iter().any(was_begun)).collect();
        let is_taken = (0..graph.edges.len()).map(|number| is_taken(graph, &is_come_to, number)).collect();
        Self { on_nodes, is_taken, elsewhere }
    }
}

/// Events do not say which transition was taken. One was that has steps at both ends which were begun and not skipped, unless the run also came
/// from the one to the other over nodes between: then it was a way past them.
fn is_taken(graph: &Graph, is_come_to: &[bool], number: usize) -> bool {
    let (from, to) = graph.edges[number];
    if !is_come_to[from] || !is_come_to[to] {
        return false;
    }
    let could_be_passed = graph.outgoing[from].len() > 1 && graph.incoming[to].len() > 1;
    !(could_be_passed && leads_over_others(graph, is_come_to, from, to))
}

/// Whether a way over other nodes that the run came to leads from one node to another.
fn leads_over_others(graph: &Graph, is_come_to: &[bool], from: usize, to: usize) -> bool {
    let mut is_seen = vec![false; is_come_to.len()];
    let mut ways = vec![from];
    while let Some(place) = ways.pop() {
        for next in graph.outgoing[place].iter().map(|number| graph.edges[*number].1) {
            if next == to && place != from {
                return true;
            }
            if next != to && is_come_to[next] && graph.layers[next] < graph.layers[to] && !is_seen[next] {
                is_seen[next] = true;
                ways.push(next);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use events::{
    id::NodeId,
    payload::{WorkflowNode, WorkflowTransition},
};

/// The graph of a definition, by the places of its nodes; the ledger takes none with a cycle.
pub struct Graph {
    /// The places of the nodes that each transition leaves and leads to.
    pub edges: Vec<(usize, usize)>,
    /// For each node the places of its transitions from there.
    pub outgoing: Vec<Vec<usize>>,
    /// For each node the places of its transitions to there.
    pub incoming: Vec<Vec<usize>>,
    /// For each node the most transitions that lead to it from a start.
    pub layers: Vec<usize>,
}

impl Graph {
    /// Of these nodes and transitions.
    pub fn of(nodes: &[WorkflowNode], transitions: &[WorkflowTransition]) -> Self {
        let places: HashMap<NodeId, usize> = nodes.iter().map(|node| node.node_id).zip(0..).collect();
        let edge = |it: &WorkflowTransition| Some((*places.get(&it.from)?, *places.get(&it.to)?));
        Self::between(nodes.len(), transitions.iter().filter_map(edge).collect())
    }

    /// Of so many nodes, with transitions between these places.
    pub fn between(nodes: usize, edges: Vec<(usize, usize)>) -> Self {
        let (mut outgoing, mut incoming) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
        for (number, (from, to)) in edges.iter().enumerate() {
            outgoing[*from].push(number);
            incoming[*to].push(number);
        }
        let layers = layers(&edges, &outgoing, &incoming);
        Self { edges, outgoing, incoming, layers }
    }

    /// The nodes, layer by layer.
    pub fn by_layer(&self) -> Vec<Vec<usize>> {
        let mut by_layer: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, layer) in self.layers.iter().enumerate() {
            by_layer.entry(*layer).or_default().push(place);
        }
        by_layer.into_values().collect()
    }
}

fn layers(edges: &[(usize, usize)], outgoing: &[Vec<usize>], incoming: &[Vec<usize>]) -> Vec<usize> {
    let mut layers = vec![0; incoming.len()];
    let mut left: Vec<usize> = incoming.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..left.len()).filter(|place| left[*place] == 0).collect();
    while let Some(place) = ready.pop() {
        for number in &outgoing[place] {
            let (_, to) = edges[*number];
            layers[to] = layers[to].max(layers[place] + 1);
            left[to] -= 1;
            if left[to] == 0 {
                ready.push(to);
            }
        }
    }
    layers
}

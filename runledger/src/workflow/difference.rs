//! What differs between two revisions of a workflow, field by field.

use std::collections::{BTreeMap, BTreeSet};

use projector::history::Differences;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What differs between two revisions.
#[derive(Serialize)]
pub struct RevisionDifference {
    /// Of the revision itself: its name, its description.
    pub fields: Differences,
    /// By their ids.
    pub nodes: Vec<Part>,
    /// By the nodes between which they lead; of several between two nodes, in the order in which they were sent.
    pub transitions: Vec<Part>,
}

/// A node or a transition that differs.
#[derive(Serialize)]
pub struct Part {
    /// Whether it is `added`, `removed` or `changed`.
    pub change: &'static str,
    /// It as it is in the later revision that has it.
    pub part: Box<RawValue>,
    /// Of one that has changed, the fields with both values.
    #[serde(skip_serializing_if = "Differences::is_empty")]
    pub fields: Differences,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    nodes: Vec<&'a RawValue>,
    #[serde(borrow)]
    transitions: Vec<&'a RawValue>,
}

/// What a part is known by: its ids, and which it is of those that share them.
type Key = (Vec<String>, usize);

impl RevisionDifference {
    /// Compares two rows of `workflow_revision`.
    ///
    /// # Errors
    /// When a row is none of that table.
    pub fn between(from: &RawValue, to: &RawValue) -> Result<Self, serde_json::Error> {
        let (from, to): (Row<'_>, Row<'_>) = (serde_json::from_str(from.get())?, serde_json::from_str(to.get())?);
        let mut fields = Differences::of_values("name", Some(from.name), Some(to.name))?;
        fields.0.extend(Differences::of_values("description", from.description, to.description)?.0);
        let nodes = parts(&keyed(&from.nodes, &["node_id"])?, &keyed(&to.nodes, &["node_id"])?)?;
        let ends = ["from", "to"];
        let transitions = parts(&keyed(&from.transitions, &ends)?, &keyed(&to.transitions, &ends)?)?;
        Ok(Self { fields, nodes, transitions })
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.nodes.is_empty() && self.transitions.is_empty()
    }
}

fn keyed<'a>(parts: &[&'a RawValue], ids: &[&str]) -> Result<BTreeMap<Key, &'a RawValue>, serde_json::Error> {
    let mut keyed = BTreeMap::new();
    let mut shared: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for part in parts {
        let members: BTreeMap<&str, &RawValue> = serde_json::from_str(part.get())?;
        let key: Vec<String> = ids.iter().filter_map(|id| Some(members.get(id)?.get().to_lowercase())).collect();
        let number = shared.entry(key.clone()).or_default();
        keyed.insert((key, *number), *part);
        *number += 1;
    }
    Ok(keyed)
}

fn parts(from: &BTreeMap<Key, &RawValue>, to: &BTreeMap<Key, &RawValue>) -> Result<Vec<Part>, serde_json::Error> {
    let keys: BTreeSet<&Key> = from.keys().chain(to.keys()).collect();
    let mut parts = Vec::new();
    for key in keys {
        let (part, change, fields) = match (from.get(key), to.get(key)) {
            (Some(from), Some(to)) => (to, "changed", Differences::between(Some(*from), Some(*to))?),
            (Some(from), None) => (from, "removed", Differences::default()),
            (None, Some(to)) => (to, "added", Differences::default()),
            (None, None) => continue,
        };
        if change != "changed" || !fields.is_empty() {
            parts.push(Part { change, part: (*part).to_owned(), fields });
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;

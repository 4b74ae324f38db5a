//! The integrity of an org's ledger: RFC 6962 hashing over a fixed binary encoding of each event.
//!
//! A [`Frontier`] holds the roots of the perfect subtrees over the leaves so far, O(log n) of them,
//! and gives the exact root after each append. [`crate::append`] extends it, [`crate::verify`]
//! recomputes it.

use chrono::{DateTime, Utc};
use events::{Event, id::Seq};
use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The SHA-256 hash of bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The root of the tree over nothing: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The leaf hash of an event at `seq`, recorded at `recorded_at`: SHA-256(0x00 ‖ leaf).
///
/// The leaf, integers big-endian: 0x01 ‖ org_id ‖ seq u64 ‖ event_id ‖ subject_id ‖ occurred_at i64 µs ‖
/// recorded_at i64 µs ‖ schema_version u16 ‖ event_type, source, correlation_id, causation_id,
/// traceparent, each u16 length ‖ UTF-8 (0xFFFF alone for null) ‖ SHA-256(extensions; 32 zero bytes
/// for null) ‖ SHA-256(data).
pub fn leaf_hash(event: &Event, seq: Seq, recorded_at: DateTime<Utc>) -> Hash {
    let mut hash = Sha256::new_with_prefix([0x00, 0x01]);
    hash.update(event.org_id.uuid().as_bytes());
    hash.update(seq.get().to_be_bytes());
    hash.update(event.event_id.uuid().as_bytes());
    hash.update(event.subject_id.uuid().as_bytes());
    hash.update(event.occurred_at.timestamp_micros().to_be_bytes());
    hash.update(recorded_at.timestamp_micros().to_be_bytes());
    hash.update(event.schema_version.to_be_bytes());
    for text in [
        Some(event.event_type.as_str()),
        Some(event.source.as_str()),
        event.correlation_id.as_deref(),
        event.causation_id.as_deref(),
        event.traceparent.as_deref(),
    ] {
        match text {
            // The door keeps attributes under 65,535 bytes. A longer one can only be a row that was
            // tampered with: its cut-off length makes the hash differ, which is what verify looks for.
            Some(text) => {
                hash.update((text.len().min(0xFFFE) as u16).to_be_bytes());
                hash.update(text.as_bytes());
            }
            None => hash.update([0xFF, 0xFF]),
        }
    }
    match &event.extensions {
        Some(extensions) => hash.update(sha256(extensions.as_bytes())),
        None => hash.update([0; 32]),
    }
    hash.update(sha256(event.data.as_bytes()));
    hash.finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([0x01]).chain_update(left).chain_update(right).finalize().into()
}

/// The tree so far: its size and the roots of its perfect subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

/// A stored frontier that does not fit its size.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a tree of {size} leaves has {} perfect subtrees, not {roots}", size.count_ones())]
pub struct MisshapenFrontier {
    size: u64,
    roots: usize,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves with these subtree roots, as they stand in `ledger.head`.
    ///
    /// # Errors
    /// When their number does not fit the size, or one is no hash.
    pub fn restore(size: u64, roots: &[Vec<u8>]) -> Result<Self, MisshapenFrontier> {
        let misshapen = || MisshapenFrontier { size, roots: roots.len() };
        if roots.len() != size.count_ones() as usize {
            return Err(misshapen());
        }
        let roots =
            roots.iter().map(|root| root.as_slice().try_into().map_err(|_| misshapen())).collect::<Result<_, _>>()?;
        Ok(Self { size, roots })
    }

    /// Adds a leaf at the end.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            // As many subtrees of equal size stand at the end as the size has trailing ones.
            if let Some(left) = self.roots.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, largest first.
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Whether these are its roots, as they are stored.
    pub fn is(&self, frontier: &[Vec<u8>], root: &[u8]) -> bool {
        self.roots.iter().map(|root| root.as_slice()).eq(frontier.iter().map(Vec::as_slice)) && self.root() == *root
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        self.roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6962, section 2.1, as it is written there.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&root_by_definition(&leaves[..split]), &root_by_definition(&leaves[split..]))
            }
        }
    }

    proptest! {
        #[test]
        fn the_frontier_gives_the_root_of_the_definition(leaves in prop::collection::vec(any::<Hash>(), 0..200)) {
            let mut frontier = Frontier::default();
            for leaf in &leaves {
                frontier.push(*leaf);
            }
            prop_assert_eq!(frontier.root(), root_by_definition(&leaves));
            let stored: Vec<Vec<u8>> = frontier.roots().iter().map(|root| root.to_vec()).collect();
            prop_assert_eq!(Frontier::restore(frontier.size(), &stored).unwrap(), frontier);
        }
    }

    #[test]
    fn a_frontier_of_the_wrong_shape_is_refused() {
        assert!(Frontier::restore(3, &[vec![0; 32]]).is_err());
        assert!(Frontier::restore(1, &[vec![0; 31]]).is_err());
    }
}

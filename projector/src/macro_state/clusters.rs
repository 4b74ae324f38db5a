//! Leader clustering: a text joins the cluster that it is most like, or, where it is like none, makes one of its own.
//!
//! (Hartigan, Clustering Algorithms, 1975, chapter 3; here with moving centroids.) Only texts that are new to the org are
//! compared, each with at most [`CLUSTERS_MAX`] centroids of 768 numbers, which takes less than a millisecond; a text that has occurred before
//! is known by its hash. Centroids are whole numbers of 16 bits: half the memory, and sums that are exact, so that the same
//! texts in the same order make the same clusters on every machine.

use std::collections::HashMap;

use events::payload::embedding::TEXT_DIMENSIONS;

use crate::embedding::ContentHash;

/// Where there are so many, a text joins the one that it is most like, however little.
pub const CLUSTERS_MAX: usize = 1_000;
/// What stands for 1 in whole numbers.
const ONE: f32 = i16::MAX as f32;

/// A cluster, by its place among those of the org.
pub type Place = u16;

/// The clusters of an org.
#[derive(Debug, Default)]
pub struct Clusters {
    clusters: Vec<Cluster>,
    of_content: HashMap<ContentHash, Place>,
}

#[derive(Debug)]
struct Cluster {
    leader: ContentHash,
    /// Of length 1.
    centroid: Box<[i16]>,
    /// Of the sum of its texts' embeddings, each of length 1: the greater, the less another text moves the centroid.
    length: f32,
}

impl Clusters {
    /// Whether the text has occurred before.
    pub fn knows(&self, hash: ContentHash) -> bool {
        self.of_content.contains_key(&hash)
    }

    /// The cluster of a text, which is known already or has this embedding, of length 1.
    pub fn place(
        &mut self,
        hash: ContentHash,
        embedding: impl FnOnce() -> Option<Vec<f32>>,
        alike_from: f32,
    ) -> Option<Place> {
        if let Some(&known) = self.of_content.get(&hash) {
            return Some(known);
        }
        let embedding = whole(embedding()?.into_iter().map(|number| number * ONE));
        let similarities = self.clusters.iter().map(|cluster| dot(&cluster.centroid, &embedding)).enumerate();
        // Of several that are as near, the first.
        let nearest = similarities.max_by_key(|(place, similarity)| (*similarity, std::cmp::Reverse(*place)));
        let place = match nearest {
            Some((place, similarity))
                if similarity as f32 >= alike_from * ONE * ONE || self.clusters.len() >= CLUSTERS_MAX =>
            {
                self.clusters[place].add(&embedding);
                place
            }
            _ => {
                self.clusters.push(Cluster { leader: hash, centroid: embedding, length: 1.0 });
                self.clusters.len() - 1
            }
        } as Place;
        self.of_content.insert(hash, place);
        Some(place)
    }

    /// The text that made a cluster.
    pub fn leader(&self, place: Place) -> ContentHash {
        self.clusters[usize::from(place)].leader
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        // With what a hash map leaves free.
        const CONTENT: usize = 2 * size_of::<(ContentHash, Place)>();
        const CLUSTER: usize = size_of::<Cluster>() + TEXT_DIMENSIONS * size_of::<i16>();
        self.clusters.len() * CLUSTER + self.of_content.len() * CONTENT
    }
}

impl Cluster {
    fn add(&mut self, embedding: &[i16]) {
        let numbers = self.centroid.iter().zip(embedding);
        let sum: Vec<_> = numbers.map(|(own, new)| f32::from(*own) * self.length + f32::from(*new)).collect();
        self.length = sum.iter().map(|number| number * number).sum::<f32>().sqrt() / ONE;
        // Opposites can add up to nothing; what is divided by it is no number, and 0 as a whole one.
        self.centroid = whole(sum.into_iter().map(|number| number / self.length));
    }
}

fn whole(numbers: impl Iterator<Item = f32>) -> Box<[i16]> {
    numbers.map(|number| number.round() as i16).collect()
}

/// The cosine of the angle between the two, of which each has length 1; no part of the sum is greater than the product of
/// their lengths, so none overflows.
fn dot(left: &[i16], right: &[i16]) -> i32 {
    left.iter().zip(right).map(|(left, right)| i32::from(*left) * i32::from(*right)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn towards(angle_degrees: f32) -> Vec<f32> {
        let (sin, cos) = angle_degrees.to_radians().sin_cos();
        let mut embedding = vec![0.0; TEXT_DIMENSIONS];
        (embedding[0], embedding[700]) = (cos, sin);
        embedding
    }

    fn place(clusters: &mut Clusters, angle_degrees: f32) -> Place {
        let hash = ContentHash::of(0, &angle_degrees.to_string());
        clusters.place(hash, || Some(towards(angle_degrees)), 0.9).unwrap()
    }

    #[test]
    fn what_is_alike_is_together_and_what_is_not_is_apart() {
        let mut clusters = Clusters::default();
        let places = [0.0, 90.0, 10.0, 80.0, 180.0, 45.0].map(|angle| place(&mut clusters, angle));
        assert_eq!(places, [0, 1, 0, 1, 2, 3]);
    }

    #[test]
    fn a_centroid_moves_with_what_joins_it() {
        let mut clusters = Clusters::default();
        // 40 degrees are too far from 0, and not from the middle of 0, 15 and 30.
        let places = [0.0, 15.0, 30.0, 40.0].map(|angle| place(&mut clusters, angle));
        assert_eq!(places, [0, 0, 0, 0]);
        assert_eq!([0.0, 40.0].map(|angle| place(&mut Clusters::default(), angle)), [0, 0]);
        let mut apart = Clusters::default();
        assert_eq!([0.0, 40.0].map(|angle| place(&mut apart, angle)), [0, 1]);
    }

    #[test]
    fn a_known_text_is_not_embedded_again_and_one_without_embedding_has_no_place() {
        let mut clusters = Clusters::default();
        assert_eq!(place(&mut clusters, 0.0), 0);
        let known = ContentHash::of(0, "0");
        assert_eq!(clusters.place(known, || panic!("it is known"), 0.9), Some(0));
        assert_eq!(clusters.place(ContentHash::of(0, "other"), || None, 0.9), None);
    }

    #[test]
    fn there_are_only_so_many_clusters() {
        let mut clusters = Clusters::default();
        let nothing = || whole((0..TEXT_DIMENSIONS).map(|_| 0.0));
        let cluster =
            |number| Cluster { leader: ContentHash::of(1, &format!("{number}")), centroid: nothing(), length: 1.0 };
        clusters.clusters.extend((0..CLUSTERS_MAX - 1).map(cluster));
        let last = place(&mut clusters, 0.0);
        assert_eq!(usize::from(last), CLUSTERS_MAX - 1);
        assert_eq!(place(&mut clusters, 85.0), last, "the nearest of all, though far");
        assert_eq!(clusters.clusters.len(), CLUSTERS_MAX);
    }
}

//! Leader clustering: a text joins the cluster that it is most like, or, where it is like none, makes one of its own.
//!
//! (Hartigan, Clustering Algorithms, 1975, chapter 3; here with moving centroids.) Only texts that are new to the org are
//! compared, each with at most [`CLUSTERS_MAX`] centroids of 768 numbers, which takes less than a millisecond; a text that has occurred before
//! is known by its hash. Sums are made in one order, lane by lane, so the same texts in the same order make the same
//! clusters on every machine.

use std::collections::HashMap;

use events::payload::embedding::TEXT_DIMENSIONS;

use crate::embedding::ContentHash;

/// Where there are so many, a text joins the one that it is most like, however little.
pub const CLUSTERS_MAX: usize = 1_000;
const LANES: usize = 8;

/// The clusters of an org.
#[derive(Debug, Default)]
pub struct Clusters {
    clusters: Vec<Cluster>,
    of_content: HashMap<ContentHash, usize>,
}

#[derive(Debug)]
struct Cluster {
    leader: ContentHash,
    /// Of the texts' embeddings, each of length 1: the centroid, but for its length.
    sum: Vec<f32>,
    length: f32,
}

impl Clusters {
    /// The cluster of a text, which is known already or has this embedding, of length 1.
    pub fn place(
        &mut self,
        hash: ContentHash,
        embedding: impl FnOnce() -> Option<Vec<f32>>,
        alike_from: f32,
    ) -> Option<usize> {
        if let Some(&known) = self.of_content.get(&hash) {
            return Some(known);
        }
        let embedding = embedding()?;
        let mut nearest = None;
        for (place, cluster) in self.clusters.iter().enumerate() {
            let similarity = cluster.similarity(&embedding);
            if nearest.is_none_or(|(_, greatest)| similarity > greatest) {
                nearest = Some((place, similarity));
            }
        }
        let place = match nearest {
            Some((place, similarity)) if similarity >= alike_from || self.clusters.len() >= CLUSTERS_MAX => {
                self.clusters[place].add(&embedding);
                place
            }
            _ => {
                let length = dot(&embedding, &embedding).sqrt();
                self.clusters.push(Cluster { leader: hash, sum: embedding, length });
                self.clusters.len() - 1
            }
        };
        self.of_content.insert(hash, place);
        Some(place)
    }

    /// The text that made a cluster.
    pub fn leader(&self, place: usize) -> ContentHash {
        self.clusters[place].leader
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        const CONTENT: usize = 64;
        self.clusters.len() * (size_of::<Cluster>() + 4 * TEXT_DIMENSIONS) + self.of_content.len() * CONTENT
    }
}

impl Cluster {
    /// The cosine of the angle between the embedding and the centroid.
    fn similarity(&self, embedding: &[f32]) -> f32 {
        // Opposites can add up to nothing.
        if self.length > 0.0 { dot(&self.sum, embedding) / self.length } else { -1.0 }
    }

    fn add(&mut self, embedding: &[f32]) {
        self.sum.iter_mut().zip(embedding).for_each(|(sum, number)| *sum += number);
        self.length = dot(&self.sum, &self.sum).sqrt();
    }
}

/// Lanes, because the compiler may not turn one sum into several by itself: that would be another result.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for (left, right) in left.chunks(LANES).zip(right.chunks(LANES)) {
        for (lane, (left, right)) in lanes.iter_mut().zip(left.iter().zip(right)) {
            *lane += left * right;
        }
    }
    lanes.iter().sum()
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

    fn place(clusters: &mut Clusters, angle_degrees: f32) -> usize {
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
        for number in 0..CLUSTERS_MAX + 5 {
            // Nothing is like anything else, and signs keep centroids apart.
            let mut embedding = vec![0.0; TEXT_DIMENSIONS];
            let sign = if number < TEXT_DIMENSIONS { 1.0 } else { -1.0 };
            embedding[number % TEXT_DIMENSIONS] = sign;
            let hash = ContentHash::of(0, &number.to_string());
            assert!(clusters.place(hash, || Some(embedding), 0.9).unwrap() < CLUSTERS_MAX);
        }
        assert_eq!(clusters.clusters.len(), CLUSTERS_MAX);
    }
}

//! What comes next: probabilities from how often something came next.
//!
//! A screen that was seen seldom says little by itself, so what came after screens of its kind counts too, the less the more
//! is known of the screen: Witten–Bell smoothing (Witten and Bell, The Zero-Frequency Problem, IEEE Transactions on
//! Information Theory 37(4), 1991, method C; interpolated as in Chen and Goodman, An Empirical Study of Smoothing Techniques for
//! Language Modeling, 1998, section 2.4). With c(s, n) how often n came after s, N(s) their sum, and T(s) how many different n came:
//!
//! P(n | s) = (c(s, n) + T(s) · P(n | kind of s)) / (N(s) + T(s)), where P(n | kind) = c(kind, n) / N(kind)
//!
//! Without anything of the screen itself that is P(n | kind), and without anything of its kind c(s, n) / N(s). Pure; called by
//! [`crate::query`] and by the benchmark.

use std::collections::BTreeMap;

mod trial;

pub use trial::{Hits, Trial, TrialError};

/// What came next how often: after a screen, and after all screens of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// After the screen itself.
    pub micro: i64,
    /// After screens of its kind, itself among them.
    pub of_kind: i64,
}

/// Something that may come next.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction<S> {
    /// What.
    pub state: S,
    /// From 0 to 1; those of all predictions add up to 1.
    pub probability: f64,
    /// What that stands on.
    pub support: Support,
}

/// What may come next, the likeliest first; of those that are as likely, in the order of the states.
pub fn predict<S: Ord + Clone>(counts: &BTreeMap<S, Support>) -> Vec<Prediction<S>> {
    let of_screen: i64 = counts.values().map(|count| count.micro).sum();
    let of_kind: i64 = counts.values().map(|count| count.of_kind).sum();
    let different = counts.values().filter(|count| count.micro > 0).count() as f64;
    let probability = |support: &Support| match (of_screen, of_kind) {
        (_, 0) => support.micro as f64 / of_screen as f64,
        _ => {
            let of_kind = support.of_kind as f64 / of_kind as f64;
            // Nothing of the screen itself: T and N are 0.
            if of_screen == 0 {
                return of_kind;
            }
            (support.micro as f64 + different * of_kind) / (of_screen as f64 + different)
        }
    };
    let seen = counts.iter().filter(|(_, support)| support.micro + support.of_kind > 0);
    let mut predictions: Vec<_> = seen
        .map(|(state, support)| Prediction {
            state: state.clone(),
            probability: probability(support),
            support: *support,
        })
        .collect();
    predictions.sort_by(|one, other| other.probability.total_cmp(&one.probability));
    predictions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(counts: &[(&'static str, i64, i64)]) -> BTreeMap<&'static str, Support> {
        counts.iter().map(|&(state, micro, of_kind)| (state, Support { micro, of_kind })).collect()
    }

    fn predicted(of: &[(&'static str, i64, i64)]) -> Vec<(&'static str, f64)> {
        predict(&counts(of)).into_iter().map(|it| (it.state, (it.probability * 1e4).round() / 1e4)).collect()
    }

    #[test]
    fn probabilities_are_those_of_the_formula() {
        // N = 4, T = 2; (3 + 2 · 0.6) / 6 and so on.
        assert_eq!(predicted(&[("a", 3, 6), ("b", 1, 1), ("c", 0, 3)]), [("a", 0.7), ("b", 0.2), ("c", 0.1)]);
    }

    #[test]
    fn a_screen_of_which_nothing_is_known_is_like_its_kind() {
        assert_eq!(predicted(&[("a", 0, 1), ("b", 0, 3)]), [("b", 0.75), ("a", 0.25)]);
    }

    #[test]
    fn a_screen_of_no_kind_stands_alone() {
        assert_eq!(predicted(&[("a", 1, 0), ("b", 3, 0)]), [("b", 0.75), ("a", 0.25)]);
        assert_eq!(predicted(&[]), []);
    }

    #[test]
    fn the_more_is_known_of_a_screen_the_less_its_kind_counts() {
        let likeliest = |times: i64| predict(&counts(&[("own", 3 * times, 3 * times), ("other", 0, 900)]))[0].state;
        assert_eq!((likeliest(0), likeliest(1), likeliest(100)), ("other", "own", "own"));
        let share = |times: i64| predict(&counts(&[("own", times, times), ("other", 0, 900)]))[0].probability;
        assert!(share(100) > share(10));
    }

    proptest! {
        #[test]
        fn probabilities_add_up_to_one(of in prop::collection::btree_map(0..50u8, (0..100i64, 0..100i64), 1..20)) {
            let counts: BTreeMap<_, _> =
                of.into_iter().map(|(state, (micro, more))| (state, Support { micro, of_kind: micro + more })).collect();
            let predictions = predict(&counts);
            if !predictions.is_empty() {
                prop_assert!((predictions.iter().map(|it| it.probability).sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
    }
}

//! What was measured: samples, one a round, and what they are held to.

/// Values of the same thing, one a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// From the least to the greatest.
    sorted: Vec<f64>,
}

impl Samples {
    /// The value in the middle, of an even number the mean of the two; not a number if there is none.
    pub fn median(&self) -> f64 {
        let middle = self.sorted.len() / 2;
        match self.sorted.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => self.sorted[middle],
            _ => f64::midpoint(self.sorted[middle - 1], self.sorted[middle]),
        }
    }

    /// The least value and the greatest.
    pub fn spread(&self) -> (f64, f64) {
        let (least, greatest) = (self.sorted.first(), self.sorted.last());
        (least.copied().unwrap_or(f64::NAN), greatest.copied().unwrap_or(f64::NAN))
    }

    /// The next round's value.
    pub fn push(&mut self, value: f64) {
        let place = self.sorted.partition_point(|earlier| *earlier <= value);
        self.sorted.insert(place, value);
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut samples = Self::default();
        values.into_iter().for_each(|value| samples.push(value));
        samples
    }
}

/// What a value is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// More is better.
    AtLeast {
        /// What has to be reached.
        target: f64,
        /// What would be better still.
        stretch: f64,
    },
    /// Less is better.
    AtMost {
        /// What may not be exceeded.
        target: f64,
        /// What would be better still.
        stretch: f64,
    },
}

impl Goal {
    /// What has to be reached.
    pub fn target(self) -> f64 {
        match self {
            Self::AtLeast { target, .. } | Self::AtMost { target, .. } => target,
        }
    }

    /// What would be better still.
    pub fn stretch(self) -> f64 {
        match self {
            Self::AtLeast { stretch, .. } | Self::AtMost { stretch, .. } => stretch,
        }
    }

    /// Whether the value reaches the target.
    pub fn holds(self, value: f64) -> bool {
        self.score(value) >= 1.0
    }

    /// How many times as good as the target a value is: 1 just reaches it, more is better.
    pub fn score(self, value: f64) -> f64 {
        match self {
            Self::AtLeast { target, .. } => value / target,
            Self::AtMost { target, .. } => target / value,
        }
    }

    /// As a mathematician would write it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtLeast { .. } => "≥",
            Self::AtMost { .. } => "≤",
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The row's name.
    pub row: String,
    /// What it is, for people.
    pub title: String,
    /// Of the value.
    pub unit: &'static str,
    /// The values, one a round.
    pub samples: Samples,
    /// What the median is held to.
    pub goal: Option<Goal>,
    /// What the value was computed from, or is understood by.
    pub parts: Vec<Part>,
}

/// A figure behind a measurement, such as the limit's events per second.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// One a round.
    pub samples: Samples,
}

impl Measurement {
    /// Whether the median reaches the target; without one there is nothing to hold.
    pub fn holds(&self) -> Option<bool> {
        self.goal.map(|goal| goal.holds(self.samples.median()))
    }
}

/// How a value changes with a size.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The row's name.
    pub row: String,
    /// What it is, for people.
    pub title: String,
    /// What grows, such as "events in the ledger".
    pub grows: &'static str,
    /// Of the values.
    pub unit: &'static str,
    /// Sizes, ascending, and what was measured at each.
    pub points: Vec<(f64, Samples)>,
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The rows of the table, in the order of their measuring.
    pub measurements: Vec<Measurement>,
    /// The curves of the chart.
    pub curves: Vec<Curve>,
}

/// Two rates of one thing, sampled together: the product's and the limit's.
#[derive(Debug, Default)]
pub struct Ratio {
    product: Samples,
    limit: Samples,
    ratio: Samples,
}

impl Ratio {
    /// The next round: what the product and what the limit did in a second.
    pub fn push(&mut self, product: f64, limit: f64) {
        self.product.push(product);
        self.limit.push(limit);
        self.ratio.push(product / limit);
    }

    /// The row of the table.
    pub fn measurement(self, row: &str, title: &str, limit: &'static str, goal: Goal) -> Measurement {
        Measurement {
            row: row.to_owned(),
            title: title.to_owned(),
            unit: "×",
            samples: self.ratio,
            goal: Some(goal),
            parts: vec![
                Part { name: "product", unit: "events/s", samples: self.product },
                Part { name: limit, unit: "events/s", samples: self.limit },
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order_of_the_rounds() {
        assert_eq!(Samples::from_iter([9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(Samples::from_iter([4.0, 1.0, 2.0, 9.0]).median(), 3.0);
        assert_eq!(Samples::from_iter([7.0]).median(), 7.0);
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn the_spread_goes_from_the_least_to_the_greatest() {
        assert_eq!(Samples::from_iter([3.0, 1.0, 2.0]).spread(), (1.0, 3.0));
    }

    #[test]
    fn a_goal_holds_at_its_target_and_better() {
        let ratio = Goal::AtLeast { target: 0.5, stretch: 1.0 };
        let latency = Goal::AtMost { target: 4.0, stretch: 2.0 };
        assert!(ratio.holds(0.5) && ratio.holds(0.9) && !ratio.holds(0.49));
        assert!(latency.holds(4.0) && latency.holds(1.0) && !latency.holds(4.1));
        assert_eq!((ratio.score(1.0), latency.score(2.0)), (2.0, 2.0));
    }

    #[test]
    fn what_is_not_a_number_holds_nothing() {
        assert!(!Goal::AtLeast { target: 1.0, stretch: 2.0 }.holds(f64::NAN));
        assert!(!Goal::AtMost { target: 1.0, stretch: 0.5 }.holds(f64::NAN));
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let mut ratio = Ratio::default();
        ratio.push(50.0, 100.0);
        ratio.push(90.0, 100.0);
        ratio.push(30.0, 50.0);
        let row = ratio.measurement("ledger", "ledger", "COPY", Goal::AtLeast { target: 0.7, stretch: 0.9 });
        assert_eq!(row.samples.median(), 0.6);
        assert_eq!(row.holds(), Some(false));
        assert_eq!(row.parts[1].samples.median(), 100.0);
    }
}

//! The chart: how each row stands to its target, as bars of equal meaning, and each curve below.

use std::fmt::Write;

use super::figure;
use crate::measurement::{Curve, Measurement, Results};

const WIDTH: f64 = 860.0;
const LABELS_WIDTH: f64 = 400.0;
const BAR_HEIGHT: f64 = 24.0;
const CURVE_HEIGHT: f64 = 220.0;
/// A bar that is so many times its target goes to the edge.
const SCORE_MAX: f64 = 2.5;
const MARGIN: f64 = 20.0;

/// The whole chart.
pub fn chart(results: &Results) -> String {
    let held: Vec<&Measurement> = results.measurements.iter().filter(|it| it.goal.is_some()).collect();
    let bars_height = MARGIN * 3.0 + BAR_HEIGHT * held.len() as f64;
    let height = bars_height + (CURVE_HEIGHT + MARGIN) * results.curves.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    bars(&mut svg, &held);
    for (place, curve) in results.curves.iter().enumerate() {
        self::curve(&mut svg, curve, bars_height + (CURVE_HEIGHT + MARGIN) * place as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

/// How far a bar goes: 1 is the target, also where less is better.
fn bar_end(score: f64) -> f64 {
    let score = if score.is_finite() { score.clamp(0.0, SCORE_MAX) } else { 0.0 };
    LABELS_WIDTH + score / SCORE_MAX * (WIDTH - LABELS_WIDTH - MARGIN * 4.0)
}

fn bars(svg: &mut String, held: &[&Measurement]) {
    let bottom = MARGIN * 2.0 + BAR_HEIGHT * held.len() as f64;
    for (place, it) in held.iter().enumerate() {
        let Some(goal) = it.goal else { continue };
        let (value, top) = (it.samples.median(), MARGIN * 2.0 + BAR_HEIGHT * place as f64);
        let (text, end, stretch) = (top + 16.0, bar_end(goal.score(value)), bar_end(goal.score(goal.stretch())));
        let colour = if goal.holds(value) { "#2f7d4f" } else { "#b5542a" };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABELS_WIDTH}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <line x1=\"{stretch:.1}\" y1=\"{top}\" x2=\"{stretch:.1}\" y2=\"{}\" stroke=\"#888\" stroke-dasharray=\"2 2\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{} {}</text>",
            LABELS_WIDTH - 8.0,
            escaped(&it.title),
            top + 4.0,
            end - LABELS_WIDTH,
            BAR_HEIGHT - 8.0,
            top + BAR_HEIGHT,
            end.max(stretch) + 6.0,
            figure(value),
            escaped(it.unit),
        );
    }
    let target = bar_end(1.0);
    let _ = writeln!(
        svg,
        "<line x1=\"{target:.1}\" y1=\"{}\" x2=\"{target:.1}\" y2=\"{bottom}\" stroke=\"black\"/>\
         <text x=\"{target:.1}\" y=\"{}\" text-anchor=\"middle\">target (dashed: stretch)</text>",
        MARGIN * 1.5,
        MARGIN
    );
}

/// The values of an axis on a stretch of the picture.
struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// Where a value stands; in the middle if the axis holds one value only.
    fn place(&self, value: f64) -> f64 {
        let share = if self.to > self.from { (value - self.from) / (self.to - self.from) } else { 0.5 };
        self.start + share * (self.end - self.start)
    }
}

/// Sizes stand by their logarithm, values from 0 on.
fn curve(svg: &mut String, curve: &Curve, top: f64) {
    let sizes = || curve.points.iter().map(|(size, _)| size.max(1.0).ln());
    let greatest = curve.points.iter().map(|(_, samples)| samples.spread().1).fold(0.0, f64::max);
    let x = Scale {
        from: sizes().fold(f64::INFINITY, f64::min),
        to: sizes().fold(f64::NEG_INFINITY, f64::max),
        start: MARGIN * 5.0,
        end: WIDTH - MARGIN * 4.0,
    };
    let bottom = top + CURVE_HEIGHT - MARGIN * 2.0;
    let y = Scale { from: 0.0, to: greatest, start: bottom, end: top + MARGIN * 2.0 };
    let title = format!("{}, {} by {}", curve.title, curve.unit, curve.grows);
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", MARGIN, top + MARGIN, escaped(&title));
    let _ =
        writeln!(svg, "<line x1=\"{}\" y1=\"{bottom}\" x2=\"{}\" y2=\"{bottom}\" stroke=\"black\"/>", x.start, x.end);
    let mut path = String::new();
    for ((size, samples), place) in curve.points.iter().zip(sizes()) {
        let (at, height) = (x.place(place), y.place(samples.median()));
        let _ = write!(path, "{at:.1},{height:.1} ");
        let _ = writeln!(
            svg,
            "<circle cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"3\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            height - 8.0,
            figure(samples.median()),
            bottom + 16.0,
            figure(*size),
        );
    }
    let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"#2f5d7d\"/>", path.trim_end());
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Goal;

    #[test]
    fn a_bar_is_as_long_as_its_row_is_good_and_never_leaves_the_picture() {
        let target = bar_end(1.0);
        assert!(bar_end(0.5) < target && bar_end(2.0) > target);
        assert_eq!((target - LABELS_WIDTH) * 2.0, bar_end(2.0) - LABELS_WIDTH);
        assert_eq!(bar_end(1_000.0), bar_end(SCORE_MAX));
        assert_eq!((bar_end(f64::NAN), bar_end(0.0)), (LABELS_WIDTH, LABELS_WIDTH));
        assert!(bar_end(1_000.0) < WIDTH);
    }

    #[test]
    fn a_scale_puts_its_ends_at_the_ends_and_turns_round_for_heights() {
        let scale = Scale { from: 0.0, to: 10.0, start: 200.0, end: 100.0 };
        assert_eq!((scale.place(0.0), scale.place(10.0), scale.place(5.0)), (200.0, 100.0, 150.0));
        assert_eq!(Scale { from: 3.0, to: 3.0, start: 0.0, end: 10.0 }.place(3.0), 5.0);
    }

    #[test]
    fn the_chart_shows_every_held_row_and_every_point() {
        let row = Measurement {
            row: "latency".to_owned(),
            title: "p50 < p99 & so on".to_owned(),
            unit: "ms",
            samples: [3.0].into_iter().collect(),
            goal: Some(Goal::AtMost { target: 4.0, stretch: 2.5 }),
            parts: Vec::new(),
        };
        let points = vec![(1e5, [20.0].into_iter().collect()), (1e7, [24.0].into_iter().collect())];
        let growth = Curve { row: "growth".to_owned(), title: "cost".to_owned(), grows: "events", unit: "µs", points };
        let svg = chart(&Results { measurements: vec![row], curves: vec![growth] });
        assert!(svg.contains("p50 &lt; p99 &amp; so on") && svg.contains("3.00 ms"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("10,000,000"), "{svg}");
    }
}

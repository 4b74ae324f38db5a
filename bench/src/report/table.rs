//! For people at a terminal.

use comfy_table::{ContentArrangement, LineStyle, Table, presets};

use super::figure;
use crate::measurement::{Goal, Measurement, Results, Samples};

const HEADER: [&str; 6] = ["row", "median", "min … max", "target", "stretch", "holds"];

/// All rows, each with the figures behind it, and the points of all curves.
pub fn table(results: &Results) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADER);
    for measurement in &results.measurements {
        table.add_row(cells(measurement));
        for part in &measurement.parts {
            table.add_row([
                format!("  {}", part.name),
                with_unit(part.samples.median(), part.unit),
                spread(&part.samples),
            ]);
        }
    }
    for curve in &results.curves {
        table.add_row([curve.title.clone()]);
        for (size, samples) in &curve.points {
            let at = format!("  {} {}", figure(*size), curve.grows);
            table.add_row([at, with_unit(samples.median(), curve.unit), spread(samples)]);
        }
    }
    table.to_string()
}

/// The cells of a row, in the order of the header.
pub fn cells(measurement: &Measurement) -> [String; HEADER.len()] {
    let Measurement { row, title, unit, samples, goal, .. } = measurement;
    let said =
        |of: fn(Goal) -> f64| goal.map_or_else(String::new, |goal| format!("{} {}", goal.sign(), figure(of(goal))));
    let holds = match goal.map(|goal| goal.holds(samples.median())) {
        None => "",
        Some(true) => "yes",
        Some(false) => "no",
    };
    [
        format!("{row}: {title}"),
        with_unit(samples.median(), unit),
        spread(samples),
        said(Goal::target),
        said(Goal::stretch),
        holds.to_owned(),
    ]
}

/// A figure and what it counts.
pub fn with_unit(value: f64, unit: &str) -> String {
    format!("{} {unit}", figure(value))
}

/// From the least to the greatest.
pub fn spread(samples: &Samples) -> String {
    let (least, greatest) = samples.spread();
    format!("{} … {}", figure(least), figure(greatest))
}

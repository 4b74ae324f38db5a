//! What is kept in the documentation: between two marks, which people leave alone.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::{CHART, DOCUMENT, table};
use crate::{machine::Machine, measurement::Results, options::Options};

const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

/// The document with these results in the place of earlier ones.
pub fn keep(document: &str, options: &Options, machine: &Machine, results: &Results) -> Result<String> {
    let missing = || format!("{DOCUMENT} has no lines `{BEGIN}` and `{END}` for the results to stand between");
    let (before, rest) = document.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", section(options, machine, results)))
}

fn section(options: &Options, machine: &Machine, results: &Results) -> String {
    let size = options.size();
    let chart = CHART.trim_start_matches("docs/");
    let mut text = format!(
        "{}, {}; {} (the project's images, fsync on); {}. {} events, {} rounds.\n\n\
         ![Results against their targets]({chart})\n\n\
         | row | median | min … max | target | stretch | holds |\n|---|---|---|---|---|---|\n",
        machine.at.format("%Y-%m-%d"),
        machine.hardware,
        machine.servers,
        machine.rustc,
        super::figure(size.events as f64),
        size.rounds
    );
    for measurement in &results.measurements {
        let _ = writeln!(text, "| {} |", table::cells(measurement).join(" | "));
        for part in &measurement.parts {
            let median = table::with_unit(part.samples.median(), part.unit);
            let _ = writeln!(text, "| · {} | {median} | {} | | | |", part.name, table::spread(&part.samples));
        }
    }
    for curve in &results.curves {
        let _ = write!(text, "\n{}\n\n| {} | {} | min … max |\n|---|---|---|\n", curve.title, curve.grows, curve.unit);
        for (at, samples) in &curve.points {
            let (at, median) = (super::figure(*at), super::figure(samples.median()));
            let _ = writeln!(text, "| {at} | {median} | {} |", table::spread(samples));
        }
    }
    text
}

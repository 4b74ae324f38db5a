//! The results as a table for people, as JSON for programs, as a chart, and kept in the documentation.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{machine::Machine, measurement::Results, options::Options};

mod json;
mod markdown;
mod svg;
mod table;

const DOCUMENT: &str = "docs/PERFORMANCE.md";
const CHART: &str = "docs/performance.svg";

/// Gives the results wherever they are asked for.
pub fn give(options: &Options, machine: &Machine, results: &Results) -> Result<()> {
    println!("{}", table::table(results));
    if let Some(path) = &options.json {
        write(path, &json::lines(results))?;
    }
    if let Some(path) = &options.svg {
        write(path, &svg::chart(results))?;
    }
    if options.write {
        // Wherever it is called from.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let document = root.join(DOCUMENT);
        let text = std::fs::read_to_string(&document).with_context(|| format!("{DOCUMENT} cannot be read"))?;
        write(&document, &markdown::keep(&text, options, machine, results)?)?;
        write(&root.join(CHART), &svg::chart(results))?;
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}

/// A value with as many digits as are worth reading.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
            groups.join(",")
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_have_as_many_digits_as_are_worth_reading() {
        let figures = [0.456, 3.2, 12.34, 143.6, 9_876.5, 71_834.2, 1_031_419.0].map(figure);
        assert_eq!(figures, ["0.46", "3.20", "12.3", "144", "9876", "71,834", "1,031,419"]);
    }
}

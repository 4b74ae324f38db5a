//! Differences between rows that serve and rows that the events make, as they are printed.

use projector::rebuild::{Difference, Kind};
use serde_json::{json, value::RawValue};

use crate::output;

/// Prints differences up to a limit.
pub struct Printer {
    json: bool,
    limit: u64,
    found: u64,
    failed: anyhow::Result<()>,
}

impl Printer {
    /// At most `limit` of them; without one, as many as people read, or all for programs.
    pub fn new(json: bool, limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(if json { u64::MAX } else { 1_000 });
        Self { json, limit, found: 0, failed: Ok(()) }
    }

    /// Prints one. What goes wrong is kept until the end: the rebuild goes on.
    pub fn print(&mut self, difference: &Difference) {
        self.found += 1;
        if self.found <= self.limit && self.failed.is_ok() {
            self.failed =
                if self.json { output::json(&json!({ "difference": difference })) } else { sentence(difference) };
        }
    }

    /// Says how many were not printed.
    pub fn finish(self) -> anyhow::Result<()> {
        self.failed?;
        if self.found > self.limit && !self.json {
            output::print(format!("… and {} more rows; --limit {} prints all", self.found - self.limit, self.found))?;
        }
        Ok(())
    }
}

/// The row's ids, and each differing column with both values.
fn sentence(difference: &Difference) -> anyhow::Result<()> {
    let key: Vec<_> = difference.key.iter().map(|(column, value)| format!("{column} {}", text(value))).collect();
    let what = match difference.kind {
        Kind::Differing => "differs",
        Kind::Missing => "is missing",
        Kind::Extra => "is extra: no event makes it",
    };
    output::print(output::printable(&format!("{}: row {what}: {}", difference.table, key.join(", "))))?;
    for column in &difference.columns {
        let (serving, rebuilt) = (text(&column.serving), text(&column.rebuilt));
        let values = match difference.kind {
            Kind::Differing => format!("  {}: {serving}, by the events {rebuilt}", column.column),
            Kind::Missing if column.rebuilt.get() != "null" => format!("  {}: by the events {rebuilt}", column.column),
            Kind::Extra if column.serving.get() != "null" => format!("  {}: {serving}", column.column),
            Kind::Missing | Kind::Extra => continue,
        };
        output::print(output::printable(&values))?;
    }
    Ok(())
}

fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

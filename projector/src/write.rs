//! How rows travel to PostgreSQL: one array a column, one statement a table.

use crate::fold::Flags;

/// One column of the rows.
pub fn column<'a, Row, Value>(rows: &'a [Row], value: impl Fn(&'a Row) -> Value) -> Vec<Value> {
    rows.iter().map(value).collect()
}

/// Flags as the statements take them apart again.
pub fn joined(flags: &Flags) -> String {
    flags.iter().copied().collect::<Vec<_>>().join(",")
}

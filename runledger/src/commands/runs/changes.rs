//! Changes of rows, for people.

use projector::history::{Change, Differences, RunChanges, StepChanges};
use serde_json::value::RawValue;

use crate::output;

/// A changed value, ready for a table or a line.
pub struct Changed {
    /// Which row: `run`, or a step by its number and name.
    pub row: String,
    /// Whether the whole row appears or vanishes: then the value is its status.
    pub change: Change,
    /// Which column, and the way from there.
    pub column: String,
    pub from: String,
    pub to: String,
}

/// What changed, value by value. A row that appears or vanishes is one value, its status. That a row
/// was updated goes without saying.
pub fn changed(changes: &RunChanges) -> Vec<Changed> {
    let mut changed = Vec::new();
    if let Some(change) = changes.change {
        add(&mut changed, "run", change, &changes.run);
    }
    for step in &changes.steps {
        add(&mut changed, &name(step), step.change, &step.columns);
    }
    changed
}

fn add(changed: &mut Vec<Changed>, row: &str, change: Change, columns: &Differences) {
    let told = columns.0.iter().filter(|difference| match change {
        Change::Appeared | Change::Vanished => difference.path == "status",
        Change::Changed => difference.path != "updated_at",
    });
    changed.extend(told.map(|difference| Changed {
        row: row.to_owned(),
        change,
        column: difference.path.clone(),
        from: value(difference.from.as_deref()),
        to: value(difference.to.as_deref()),
    }));
}

fn name(step: &StepChanges) -> String {
    step_name(step.step_number, step.label.as_deref()).unwrap_or_else(|| format!("step {}", step.step_id))
}

/// What people call a step, if they can.
pub fn step_name(step_number: Option<i32>, label: Option<&str>) -> Option<String> {
    match (step_number, label) {
        (Some(number), Some(label)) => Some(format!("step {number} {label}")),
        (Some(number), None) => Some(format!("step {number}")),
        (None, Some(label)) => Some(format!("step {label}")),
        (None, None) => None,
    }
}

/// A value as it stands in tables and lines: text without its quotes, and no more than fits.
pub fn value(value: Option<&RawValue>) -> String {
    const CHARACTERS_MAX: usize = 60;
    let Some(value) = value else { return "–".to_owned() };
    let text = serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned());
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => output::printable(&format!("{}…", &text[..end])),
        None => output::printable(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_short_and_inert() {
        let shown = |text: &str| value(Some(serde_json::from_str(text).unwrap()));
        assert_eq!(value(None), "–");
        assert_eq!(shown(r#""running""#), "running");
        assert_eq!(shown("1.50"), "1.50");
        assert_eq!(shown(r#"{"a":"\u001b[2J"}"#), r#"{"a":"\u001b[2J"}"#);
        assert_eq!(shown(r#""\u001b[2J""#), r"\u{1b}[2J");
        assert_eq!(shown(&format!("\"{}\"", "ü".repeat(61))), format!("{}…", "ü".repeat(60)));
    }
}

//! What commands print: tables for people, JSON for programs.
//!
//! Whatever came from outside is inert on a terminal: control characters and marks that turn the
//! direction of text are shown as escapes.

use std::io::Write;

use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};
use serde::Serialize;

/// Text as it may go to a terminal.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if is_inert(character) {
            printable.push(character);
        } else {
            printable.extend(character.escape_unicode());
        }
    }
    printable
}

fn is_inert(character: char) -> bool {
    let turns_direction =
        matches!(character, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let breaks_lines = matches!(character, '\u{2028}' | '\u{2029}');
    let is_invisible = matches!(character, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}');
    !character.is_control() && !turns_direction && !breaks_lines && !is_invisible
}

/// A table with these column names; a name that begins with `#` is a column of numbers.
pub fn table(names: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(names.iter().map(|name| name.trim_start_matches('#')));
    for (index, _) in names.iter().enumerate().filter(|(_, name)| name.starts_with('#')) {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Adds a row; every cell is made printable.
pub fn row<I, T>(table: &mut Table, cells: I)
where
    I: IntoIterator<Item = T>,
    T: AsRef<str>,
{
    table.add_row(cells.into_iter().map(|cell| printable(cell.as_ref())));
}

/// What is printed cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the output cannot be written")]
pub struct PrintError(#[from] std::io::Error);

/// Prints a line, or anything of lines.
pub fn print(text: impl std::fmt::Display) -> Result<(), PrintError> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Prints one JSON object on a line.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    // Line ends stand only between the tokens of what was JSON before, such as an event's payload.
    let line = serde_json::to_string(value)?.replace(['\n', '\r'], " ");
    Ok(print(line)?)
}

/// A time as it stands in tables: UTC to the second.
pub fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A duration as it stands in tables, in its two greatest units.
pub fn duration(duration_ms: Option<i64>) -> String {
    let Some(ms) = duration_ms else { return "–".to_owned() };
    let (s, m, h, d) = (ms / 1_000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{s}.{} s", ms % 1_000 / 100),
        60_000..3_600_000 => format!("{m} min {} s", s % 60),
        3_600_000..86_400_000 => format!("{h} h {} min", m % 60),
        _ => format!("{d} d {} h", h % 24),
    }
}

/// Optional text as it stands in tables.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// A hash in hexadecimal.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error with its causes on one line; a cause that the text before it quotes already is left out.
pub fn one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        said if said.contains(&cause) => line,
        _ => format!("{line}: {cause}"),
    })
}

/// Whether somebody closed the pipe we print to, such as `head`: no fault.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let print_error = error.downcast_ref::<PrintError>();
    print_error.is_some_and(|PrintError(error)| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_a_terminal_is_shown_as_an_escape() {
        assert_eq!(printable("a\u{1b}[31mb\r\n\u{202e}c"), r"a\u{1b}[31mb\u{d}\u{a}\u{202e}c");
        assert_eq!(printable("Zoë – 患者"), "Zoë – 患者");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(Some(950)), "950 ms");
        assert_eq!(duration(Some(61_000)), "1 min 1 s");
        assert_eq!(duration(Some(400 * 86_400_000)), "400 d 0 h");
    }
}

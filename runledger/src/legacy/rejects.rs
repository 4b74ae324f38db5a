//! Files for people and spreadsheets: what was not imported and why, what differs and why.

use std::{
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::LegacyError;

/// What did not become an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub table: &'static str,
    /// The row's primary key.
    pub key: String,
    pub trace_id: Option<i64>,
    /// The column, or the event, that the row is taken without; none if the row is not taken.
    pub part: Option<String>,
    pub code: &'static str,
    pub reason: String,
}

impl Reject {
    pub const COLUMNS: [&str; 6] = ["table", "key", "trace_id", "part", "code", "reason"];

    pub fn fields(&self) -> [String; 6] {
        let Self { table, key, trace_id, part, code, reason } = self.clone();
        let trace_id = trace_id.map(|trace_id| trace_id.to_string()).unwrap_or_default();
        [table.to_owned(), key, trace_id, part.unwrap_or_default(), code.to_owned(), reason]
    }
}

/// Both are written: they have to be two files.
pub fn two_files(rejects: &Path, differences: &Path) -> Result<(), LegacyError> {
    // As if it were there, which it may not be.
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match absolute(rejects) == absolute(differences) {
        true => Err(LegacyError::OneFile { path: rejects.to_owned() }),
        false => Ok(()),
    }
}

/// A CSV file that is there whole or not at all, and only if it has a line. Two imports at one time may write
/// the same one: the later stands.
pub struct Report {
    path: PathBuf,
    columns: &'static [&'static str],
    file: Option<(PathBuf, csv::Writer<File>)>,
}

impl Report {
    pub fn new(path: PathBuf, columns: &'static [&'static str]) -> Self {
        Self { path, columns, file: None }
    }

    /// Writes a line.
    pub fn write(&mut self, fields: &[String]) -> Result<(), LegacyError> {
        let (_, file) = match &mut self.file {
            Some(file) => file,
            None => {
                let opened = Self::open(&self.path, self.columns);
                let opened = opened.map_err(|source| LegacyError::Write { path: self.path.clone(), source })?;
                self.file.insert(opened)
            }
        };
        // A spreadsheet would take these for formulas.
        let is_formula =
            |field: &String| field.starts_with(['=', '+', '-', '@', '\t']) && field.parse::<i64>().is_err();
        let inert = fields.iter().map(|field| if is_formula(field) { format!("'{field}") } else { field.clone() });
        file.write_record(inert).map_err(|error| LegacyError::Write { path: self.path.clone(), source: error.into() })
    }

    fn open(path: &Path, columns: &[&str]) -> std::io::Result<(PathBuf, csv::Writer<File>)> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        let mut file = csv::Writer::from_writer(File::create(&beside)?);
        file.write_record(columns)?;
        Ok((beside, file))
    }

    /// Gives the file its name; returns that if there is one. If there is none, what is left of an earlier time goes.
    pub fn finish(mut self) -> Result<Option<PathBuf>, LegacyError> {
        let Some((beside, mut file)) = self.file.take() else {
            return match std::fs::remove_file(&self.path) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    Err(LegacyError::Write { path: self.path.clone(), source })
                }
                _ => Ok(None),
            };
        };
        let named = file.flush().and_then(|()| std::fs::rename(&beside, &self.path));
        named.map_err(|source| LegacyError::Write { path: self.path.clone(), source })?;
        Ok(Some(self.path.clone()))
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.file {
            let _ = std::fs::remove_file(beside);
        }
    }
}

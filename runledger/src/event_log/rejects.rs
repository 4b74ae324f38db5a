//! The rejects file: the lines that cannot be used, each with its number and the reason.

use std::{fs::File, io, path::PathBuf};

use super::{LogError, Reject};

/// Written when there is a reject, and not otherwise.
pub struct Rejects {
    path: PathBuf,
    file: Option<csv::Writer<File>>,
}

impl Rejects {
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    pub fn write(&mut self, reject: &Reject) -> Result<(), LogError> {
        self.append(reject).map_err(|source| LogError::Rejects { path: self.path.clone(), source })
    }

    fn append(&mut self, Reject { line, reason, raw }: &Reject) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = csv::Writer::from_writer(File::create(&self.path)?);
                file.write_record(["line", "reason", "raw"])?;
                self.file.insert(file)
            }
        };
        // A spreadsheet would take these for formulas.
        let is_formula = raw.first().is_some_and(|first| b"=+-@\t".contains(first));
        let raw = if is_formula { [b"'", &raw[..]].concat() } else { raw.to_vec() };
        Ok(file.write_record([line.to_string().as_bytes(), reason.as_bytes(), &raw])?)
    }

    pub fn finish(&mut self) -> Result<(), LogError> {
        let flushed = self.file.as_mut().map_or(Ok(()), csv::Writer::flush);
        flushed.map_err(|source| LogError::Rejects { path: self.path.clone(), source })
    }
}

//! The old tables: a trace becomes a run, its steps become steps, and what hangs on them becomes events of both.
//!
//! [`source`] reads the tables in one snapshot and never writes; [`trace`] merges them, so that each trace comes
//! with all that belongs to it; [`run`], [`step`] and [`attachment`] translate, purely; [`reconcile`] compares
//! what the old rows said with the rows that the read models have. The same rows give the same events, ids
//! included, and a row that has changed gives new ones and never a conflict. Whatever cannot become an event is a
//! [`Reject`]. [`requirement`] is another source, the flat table of field requirements. `docs/MIGRATING.md` has the whole
//! mapping. Called by `import legacy` and `import legacy-requirements`.

use std::path::PathBuf;

mod attachment;
mod course;
mod id_map;
mod reconcile;
mod rejects;
pub mod requirement;
mod row;
mod run;
mod source;
mod status;
mod step;
mod table;
mod trace;
mod translation;

pub use id_map::{IdMap, IdMapping, OrgMap};
pub use reconcile::{Difference, compare};
pub use rejects::{Reject, Report, two_files};
pub use row::Row;
pub use run::{translate, unmapped_org};
pub use source::{Shape, Source};
pub use status::{Status, Statuses, parse_mapping};
pub use table::{REQUIREMENTS, STEPS, TABLES, TRACE, Table};
pub use trace::{Item, Trace, Traces};
pub use translation::{Target, Translated};

/// Why the old tables cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    #[error("--from is no PostgreSQL URL; give one like postgres://user:password@host:5432/database")]
    Url,
    #[error("the old database {place} cannot be used; check --from and that the server runs")]
    Connect { place: String, source: sqlx::Error },
    #[error(
        "schema {schema} of the old database {place} has none of the old tables ({tables}); give another with --schema"
    )]
    NoTables { schema: String, place: String, tables: String },
    #[error(
        "table {schema}.{table} has no column {column}, which the import needs; is it the old table? If it is, make a schema with a view that has it, and give it with --schema"
    )]
    NoColumn { schema: String, table: &'static str, column: &'static str },
    #[error(
        "column {column} of table {schema}.{table} is of type {data_type} and has to be an integer; make a schema with a view that has it so, and give it with --schema"
    )]
    NoInteger { schema: String, table: &'static str, column: &'static str, data_type: String },
    #[error(
        "{schema}.{table} is runledger's own view of what it holds already; give the old database, or with --schema where the old tables are"
    )]
    OwnView { schema: String, table: &'static str },
    #[error("PostgreSQL failed while {what} of the old database was read; {}", advice(source))]
    Read { what: String, source: sqlx::Error },
    #[error("{path} is given for --rejects and for --differences; give two files")]
    OneFile { path: PathBuf },
    #[error("{path} cannot be written; give another file")]
    Write { path: PathBuf, source: std::io::Error },
}

/// What to do about it.
fn advice(error: &sqlx::Error) -> &'static str {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42501") => "grant the user of --from SELECT on it, and USAGE on its schema",
        Some("53100" | "53400") => {
            "the old server has no room on disk to sort it: make room, or an index that begins with trace_id, or read a copy"
        }
        _ => "run this again, which is harmless",
    }
}

#[cfg(test)]
mod tests;

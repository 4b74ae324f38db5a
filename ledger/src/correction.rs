//! What was taken back: imports and the runs that they brought, and what was last said of whether a
//! run is on record.
//!
//! The ledger keeps everything; a retraction is an event like any other, and of a run's retractions and
//! reinstatements the one with the greatest (`time`, id) counts. Asked by `import` and `runs`, in a role
//! that reads across orgs; asked org by org, because a query that spans orgs plans and locks every partition.

use chrono::{DateTime, Utc};
use events::id::{OrgId, RunId, Seq};
use serde::Serialize;
use sqlx::{PgConnection, query_file, query_scalar};

use crate::read;

/// An import: the events that carry its id in the extension `importid`.
#[derive(Clone, Debug, Serialize)]
pub struct Import {
    /// Whose ledger it went into.
    pub org_id: OrgId,
    /// Its id, as the events have it.
    pub import_id: String,
    /// Who sent the first of its events.
    pub source: String,
    /// When the ledger took the first of them.
    pub imported_at: DateTime<Utc>,
    /// How many events, corrections aside.
    pub events: i64,
    /// How many runs it brought or brought back, in part or in whole.
    pub runs: i64,
    /// How many of these runs are retracted now, for whatever reason.
    pub retracted: i64,
}

/// A run that the ledger has events of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRun {
    /// Whose.
    pub org_id: OrgId,
    /// Which run.
    pub run_id: RunId,
    /// What was last said of whether it is on record.
    pub correction: Option<Correction>,
}

/// A retraction or a reinstatement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Which of the two.
    pub is_retraction: bool,
    /// Its place in the org's ledger.
    pub seq: Seq,
    /// Its `time`.
    pub time: DateTime<Utc>,
    /// The import that was reverted or brought again, if it was for that.
    pub import_id: Option<String>,
}

impl RecordedRun {
    /// Whether it is off the record.
    pub fn is_retracted(&self) -> bool {
        self.retraction().is_some()
    }

    /// The retraction that keeps it off the record.
    pub fn retraction(&self) -> Option<&Correction> {
        self.correction.as_ref().filter(|correction| correction.is_retraction)
    }
}

/// The latest imports of an org, or of all, at most `limit`, latest first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn imports(conn: &mut PgConnection, org_id: Option<OrgId>, limit: i64) -> Result<Vec<Import>, sqlx::Error> {
    let mut imports = Vec::new();
    for org_id in orgs(conn, org_id).await? {
        let latest = query_file!("src/correction/latest_imports.sql", org_id as OrgId, limit);
        let latest = latest.map(|row| Import {
            org_id,
            import_id: row.import_id,
            source: row.source,
            imported_at: row.imported_at,
            events: 0,
            runs: 0,
            retracted: 0,
        });
        imports.extend(latest.fetch_all(&mut *conn).await?);
    }
    imports.sort_by_key(|import| std::cmp::Reverse(import.imported_at));
    imports.truncate(limit as usize);
    for import in &mut imports {
        let counts = query_file!("src/correction/count_import.sql", import.org_id as OrgId, import.import_id);
        let counts = counts.fetch_one(&mut *conn).await?;
        (import.events, import.runs, import.retracted) = (counts.events, counts.runs, counts.retracted);
    }
    Ok(imports)
}

/// The runs that an import brought or brought back, in part or in whole, by org and run id.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn runs_of_import(
    conn: &mut PgConnection,
    import_id: &str,
    org_id: Option<OrgId>,
) -> Result<Vec<RecordedRun>, sqlx::Error> {
    let mut runs = Vec::new();
    for org_id in orgs(conn, org_id).await? {
        let run_ids = query_scalar!(
            r#"SELECT DISTINCT subject_id AS "run_id!: RunId"
               FROM ledger.provenance
               WHERE org_id = $1 AND import_id = $2
                 -- As in the index.
                 AND octet_length(import_id) <= 512
                 AND split_part(event_type, '.', 1) IN ('run', 'step') AND event_type <> 'run.retracted'"#,
            org_id as OrgId,
            import_id
        );
        let run_ids = run_ids.fetch_all(&mut *conn).await?;
        runs.extend(runs_of_ids(conn, org_id, &run_ids).await?);
    }
    Ok(runs)
}

/// The run, in each org that has one of this id, by org.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn runs_of_id(
    conn: &mut PgConnection,
    run_id: RunId,
    org_id: Option<OrgId>,
) -> Result<Vec<RecordedRun>, sqlx::Error> {
    let mut runs = Vec::new();
    for org_id in orgs(conn, org_id).await? {
        runs.extend(runs_of_ids(conn, org_id, &[run_id]).await?);
    }
    Ok(runs)
}

/// Those of the runs that the org's ledger has events of, by run id.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn runs_of_ids(
    conn: &mut PgConnection,
    org_id: OrgId,
    run_ids: &[RunId],
) -> Result<Vec<RecordedRun>, sqlx::Error> {
    let run_ids: Vec<_> = run_ids.iter().map(|run_id| run_id.uuid()).collect();
    let rows = query_file!("src/correction/runs_of_ids.sql", org_id as OrgId, &run_ids);
    let runs = rows.map(|row| {
        let correction = row.event_type.zip(row.seq).zip(row.time).map(|((event_type, seq), time)| Correction {
            is_retraction: event_type == "run.retracted",
            seq,
            time,
            import_id: row.import_id,
        });
        RecordedRun { org_id, run_id: row.run_id, correction }
    });
    runs.fetch_all(conn).await
}

async fn orgs(conn: &mut PgConnection, only: Option<OrgId>) -> Result<Vec<OrgId>, sqlx::Error> {
    if let Some(only) = only {
        return Ok(vec![only]);
    }
    Ok(read::heads(conn).await?.into_iter().map(|(org_id, _)| org_id).collect())
}

//! Read models as they were: the rows that the events of then make, in temporary tables of the session that stand
//! before those that serve. Whatever is asked of these tables from then on, as by [`query`](crate::query), is answered by
//! what they were. Nothing else changes; the tables end with the session.
//!
//! Events are read as a stream; memory is that of the rows, of one org or of one subject.

use std::collections::HashSet;

use events::{
    RecordedEvent, Refusal,
    id::{OrgId, Seq, SubjectId},
};
use futures::{StreamExt, stream::BoxStream};
use ledger::read::{self, ReadError};
use sqlx::{AssertSqlSafe, PgConnection, query_file, query_scalar};

use super::Point;
use crate::{
    Registration,
    bulk::Bulk,
    copy::Copy,
    embedding::{Embeddings, Supplied},
    generation::Target,
    parked,
    projection::{FoldEvent, Lookups, Subject},
};

const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Why read models cannot be shown as they were.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The role may make no temporary tables.
    #[error(
        "what was is put together in temporary tables, which the role may not make; GRANT TEMPORARY ON DATABASE … to it"
    )]
    NotAllowed(#[source] sqlx::Error),
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while read models were folded anew")]
    Database(#[source] sqlx::Error),
    /// A newer program has recorded an event that this one does not know.
    #[error("the event of org {org_id} at seq {seq} needs a newer runledger: {}", refusal.reason)]
    Unknown {
        /// Whose event.
        org_id: OrgId,
        /// Which event.
        seq: Seq,
        /// What it is that is not known.
        refusal: Refusal,
    },
}

impl From<sqlx::Error> for RecallError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.as_deref() == Some(INSUFFICIENT_PRIVILEGE) { Self::NotAllowed(error) } else { Self::Database(error) }
    }
}

/// What to recall: of an org, everything or one subject, as it was at a point.
#[derive(Clone, Copy, Debug)]
pub struct Recalled {
    org_id: OrgId,
    subject_id: Option<SubjectId>,
    point: Point,
}

impl Recalled {
    /// Everything of an org.
    pub fn all_of(org_id: OrgId, point: Point) -> Self {
        Self { org_id, subject_id: None, point }
    }

    /// One subject.
    pub fn subject(org_id: OrgId, subject_id: SubjectId, point: Point) -> Self {
        Self { org_id, subject_id: Some(subject_id), point }
    }
}

/// Puts the tables of these projections back, for this session and once: only these rows are in them from then on.
///
/// # Errors
/// When PostgreSQL fails, or an event that counts needs a newer program. The session may then speak for another org: close it.
pub async fn recall(
    conn: &mut PgConnection,
    projections: &[&Registration],
    what: &[Recalled],
) -> Result<(), RecallError> {
    let mut rows = Vec::new();
    for projection in projections {
        for recalled in what {
            rows.extend(past_rows(conn, projection, *recalled).await?);
        }
    }
    let tables: Vec<_> = projections.iter().flat_map(|projection| projection.tables).copied().collect();
    hide(conn, &tables).await?;
    for rows in rows {
        rows.load("pg_temp", conn).await?;
    }
    // Without figures, PostgreSQL takes a new table for a small one.
    for table in tables {
        sqlx::raw_sql(AssertSqlSafe(format!("ANALYZE pg_temp.{table}"))).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The rows that the events make that count.
async fn past_rows(
    conn: &mut PgConnection,
    projection: &Registration,
    Recalled { org_id, subject_id, point }: Recalled,
) -> Result<Vec<Copy>, RecallError> {
    let asking = speak_for(conn, &org_id.to_string()).await?;
    let lookups = Lookups::load(conn).await?;
    let subjects: Vec<_> = subject_id.into_iter().collect();
    let parked = parked::seqs(conn, projection.checkpoint(), Target::Kept, org_id, &subjects).await?;
    let mut folding = Folding { org_id, fold: (projection.bulk)(), subject_id: None, lookups, parked };
    {
        let (families, through) = (projection.families, point.through());
        let mut events: BoxStream<'_, _> = match subjects.is_empty() {
            true => read::events_by_subject(conn, org_id, families, through).boxed(),
            false => read::events_of_subjects(conn, org_id, &subjects, families, through).boxed(),
        };
        while let Some(recorded) = events.next().await.transpose()? {
            if point.includes(&recorded) {
                folding.take(&recorded)?;
            }
        }
    }
    speak_for(conn, &asking).await?;
    folding.end_subject();
    // None of what commands recall has embeddings.
    Ok(folding.fold.take(&Embeddings::none(&Supplied)).0)
}

/// The events of an org on their way through a fold, subject by subject.
struct Folding {
    org_id: OrgId,
    fold: Box<dyn Bulk>,
    subject_id: Option<SubjectId>,
    lookups: Lookups,
    parked: HashSet<Seq>,
}

impl Folding {
    fn take(&mut self, recorded: &RecordedEvent) -> Result<(), RecallError> {
        if self.subject_id != Some(recorded.event.subject_id) {
            self.end_subject();
            self.subject_id = Some(recorded.event.subject_id);
        }
        let (org_id, seq) = (self.org_id, recorded.seq);
        if self.parked.contains(&seq) {
            self.fold.apply_read(recorded, FoldEvent::unfoldable(recorded, String::new()));
            return Ok(());
        }
        self.fold.apply(recorded).map_err(|refusal| RecallError::Unknown { org_id, seq, refusal })
    }

    fn end_subject(&mut self) {
        if let Some(subject_id) = self.subject_id.take() {
            self.fold.end_subject(Subject { org_id: self.org_id, subject_id }, &self.lookups);
        }
    }
}

/// Makes the session that of this org's tenant, and says whose it was. What everyone may read of the shared org are its rows;
/// its events are read by who says so.
async fn speak_for(conn: &mut PgConnection, org_id: &str) -> Result<String, sqlx::Error> {
    let before = query_scalar!(r#"SELECT coalesce(current_setting('runledger.org_id', true), '') AS "before!""#);
    let before = before.fetch_one(&mut *conn).await?;
    query_scalar!("SELECT set_config('runledger.org_id', $1, false)", org_id).fetch_one(conn).await?;
    Ok(before)
}

/// Puts empty temporary tables before these, and views of them before the views of these.
async fn hide(conn: &mut PgConnection, tables: &[&str]) -> Result<(), sqlx::Error> {
    // As long as nothing hides the tables, a view's definition names them as a statement does that means whatever is found.
    let views = query_file!("src/history/views_of_tables.sql", tables as &[&str]).fetch_all(&mut *conn).await?;
    let tables = tables.iter().map(|table| {
        format!(
            "CREATE TEMPORARY TABLE {table} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING INDEXES)"
        )
    });
    let views = views.into_iter().map(|view| format!("CREATE TEMPORARY VIEW {} AS {}", view.name, view.definition));
    for statement in tables.chain(views) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *conn).await?;
    }
    Ok(())
}

//! Read models as they were: the rows that the events of then make, in temporary tables of the session that stand
//! before those that serve. Whatever is asked of these tables from then on, as by [`query`](crate::query), is answered by
//! what they were. Nothing else changes; the tables end with the session.
//!
//! Memory is that of the events of the projection's families in the org, or of the one subject asked for.

use std::{collections::HashSet, pin::pin};

use events::{
    RecordedEvent, Refusal,
    id::{OrgId, Seq, SubjectId},
};
use futures::StreamExt;
use ledger::read::{self, Limit, ReadError};
use sqlx::{AssertSqlSafe, PgConnection, query_file, query_scalar};

use super::Point;
use crate::{
    Registration,
    bulk::Bulk,
    copy::Copy,
    generation::Target,
    parked,
    projection::{Lookups, Subject},
};

const PAGE: Limit = Limit { events_max: 10_000, bytes_max: 8 << 20 };

/// Why read models cannot be shown as they were.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// PostgreSQL failed, or the role may make no temporary tables.
    #[error(
        "PostgreSQL failed while {projection} of org {org_id} was folded anew; the role needs the privilege TEMPORARY on the database"
    )]
    Database {
        /// Of which projection.
        projection: &'static str,
        /// Whose.
        org_id: OrgId,
        /// What PostgreSQL says.
        source: sqlx::Error,
    },
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

/// Puts the projection's tables of this session back to a point: only the rows of these orgs, and of one subject if one is
/// given, are in them from then on.
///
/// # Errors
/// When PostgreSQL fails, or an event that counts needs a newer program.
pub async fn recall(
    conn: &mut PgConnection,
    projection: &Registration,
    orgs: &[OrgId],
    subject_id: Option<SubjectId>,
    point: Point,
) -> Result<(), RecallError> {
    for (place, &org_id) in orgs.iter().enumerate() {
        let failed = |source| RecallError::Database { projection: projection.name, org_id, source };
        let asking = speak_for(conn, &org_id.to_string()).await.map_err(failed)?;
        let events = events(conn, projection, org_id, subject_id, point).await?;
        let lookups = Lookups::load(conn).await.map_err(failed)?;
        let subjects: Vec<_> = events.iter().map(|recorded| recorded.event.subject_id).collect();
        let parked = parked::seqs(conn, projection.checkpoint(), Target::Kept, org_id, &subjects).await;
        let rows = fold(projection, org_id, &events, &lookups, &parked.map_err(failed)?)?;
        speak_for(conn, &asking).await.map_err(failed)?;
        if place == 0 {
            hide(conn, projection).await.map_err(failed)?;
        }
        for rows in rows {
            rows.load("pg_temp", conn).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Makes the session that of this org's tenant, and says whose it was. What everyone may read of the shared org are its rows;
/// its events are read by who says so.
async fn speak_for(conn: &mut PgConnection, org_id: &str) -> Result<String, sqlx::Error> {
    let before = query_scalar!(r#"SELECT coalesce(current_setting('runledger.org_id', true), '') AS "before!""#);
    let before = before.fetch_one(&mut *conn).await?;
    query_scalar!("SELECT set_config('runledger.org_id', $1, false)", org_id).fetch_one(conn).await?;
    Ok(before)
}

/// What counts, subject by subject.
async fn events(
    conn: &mut PgConnection,
    projection: &Registration,
    org_id: OrgId,
    subject_id: Option<SubjectId>,
    point: Point,
) -> Result<Vec<RecordedEvent>, RecallError> {
    let mut counting = Vec::new();
    if let Some(subject_id) = subject_id {
        let subjects = [subject_id];
        let of_subject = read::events_of_subjects(conn, org_id, &subjects, projection.families, point.through());
        let mut of_subject = pin!(of_subject);
        while let Some(recorded) = of_subject.next().await.transpose()? {
            counting.extend(Some(recorded).filter(|recorded| point.includes(recorded)));
        }
        return Ok(counting);
    }
    let mut after = Seq::ZERO;
    loop {
        let page = read::events_after(conn, org_id, after, projection.families, PAGE).await?;
        let is_last = page.events.is_empty();
        after = page.through;
        counting.extend(page.events.into_iter().filter(|recorded| point.includes(recorded)));
        if is_last || after >= point.through() {
            counting.sort_by_key(|recorded| (recorded.event.subject_id, recorded.seq));
            return Ok(counting);
        }
    }
}

fn fold(
    projection: &Registration,
    org_id: OrgId,
    events: &[RecordedEvent],
    lookups: &Lookups,
    parked: &HashSet<Seq>,
) -> Result<Vec<Copy>, RecallError> {
    let mut folding: Box<dyn Bulk> = (projection.bulk)();
    for of_subject in events.chunk_by(|one, next| one.event.subject_id == next.event.subject_id) {
        for recorded in of_subject {
            if parked.contains(&recorded.seq) {
                folding.apply_parked(recorded);
                continue;
            }
            let unknown = |refusal| RecallError::Unknown { org_id, seq: recorded.seq, refusal };
            folding.apply(recorded).map_err(unknown)?;
        }
        let subject_id = of_subject[0].event.subject_id;
        folding.end_subject(Subject { org_id, subject_id }, lookups);
    }
    Ok(folding.take().0)
}

/// Puts empty temporary tables before the projection's own, and views of them before the views.
async fn hide(conn: &mut PgConnection, projection: &Registration) -> Result<(), sqlx::Error> {
    let tables: Vec<String> = projection.tables.iter().map(|&table| table.to_owned()).collect();
    // As long as nothing hides the tables, a view's definition names them as a statement does that means whatever is found.
    let views = query_file!("src/history/views_of_tables.sql", &tables).fetch_all(&mut *conn).await?;
    let tables = tables.iter().map(|table| {
        format!("CREATE TEMPORARY TABLE {table} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING GENERATED)")
    });
    let views = views.into_iter().map(|view| format!("CREATE TEMPORARY VIEW {} AS {}", view.name, view.definition));
    for statement in tables.chain(views) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *conn).await?;
    }
    Ok(())
}

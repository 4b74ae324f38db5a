//! Reading the ledger: what projectors fold and commands show.
//!
//! An org's events become visible in the order of their seq, so what a reader has seen is complete up
//! to the last seq it saw.

use chrono::{DateTime, Utc};
use events::{
    Event, RecordedEvent,
    id::{EventId, OrgId, Seq, SubjectId},
};
use futures::{Stream, StreamExt};
use sqlx::PgConnection;

/// Trouble with reading.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// PostgreSQL failed.
    #[error("PostgreSQL failed while events were read")]
    Database(#[from] sqlx::Error),
    /// A row whose leaf hash or times are none: nothing of ours writes it.
    #[error("the event of org {org_id} at seq {seq} is damaged: run `runledger verify --org {org_id}`")]
    Damaged {
        /// Whose event.
        org_id: OrgId,
        /// Which event.
        seq: Seq,
    },
}

/// How much to read at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The most events.
    pub events_max: i64,
    /// The payload bytes at which a page ends; it holds at least one event.
    pub bytes_max: usize,
}

/// A stretch of an org's events, in the order of their seq.
#[derive(Debug)]
pub struct Page {
    /// The events of the families asked for.
    pub events: Vec<RecordedEvent>,
    /// Everything up to here has been looked at: the page after this one begins behind it.
    pub through: Seq,
}

struct Row {
    seq: Seq,
    event_id: EventId,
    event_type: String,
    schema_version: i16,
    subject_id: SubjectId,
    source: String,
    /// None where the row holds a time that nothing of ours writes, such as infinity.
    occurred_at: Option<DateTime<Utc>>,
    recorded_at: Option<DateTime<Utc>>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    traceparent: Option<String>,
    extensions: Option<String>,
    data: String,
    leaf_hash: Vec<u8>,
}

impl Row {
    fn into_event(self, org_id: OrgId) -> Result<RecordedEvent, ReadError> {
        let damaged = || ReadError::Damaged { org_id, seq: self.seq };
        let leaf_hash = self.leaf_hash.try_into().map_err(|_| damaged())?;
        let (occurred_at, recorded_at) = self.occurred_at.zip(self.recorded_at).ok_or_else(damaged)?;
        let event = Event {
            org_id,
            event_id: self.event_id,
            event_type: self.event_type,
            schema_version: self.schema_version,
            subject_id: self.subject_id,
            source: self.source,
            occurred_at,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            traceparent: self.traceparent,
            extensions: self.extensions,
            data: self.data.into(),
        };
        Ok(RecordedEvent { seq: self.seq, recorded_at, leaf_hash, event })
    }
}

/// Selects the columns of [`Row`] under a condition.
macro_rules! select {
    ($condition:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Row,
            r#"SELECT seq AS "seq: Seq", event_id AS "event_id: EventId", event_type, schema_version,
                      subject_id AS "subject_id: SubjectId", source,
                      CASE WHEN occurred_at BETWEEN '0001-01-01Z' AND '9999-12-31T23:59:59.999999Z' THEN occurred_at END AS occurred_at,
                      CASE WHEN recorded_at BETWEEN '0001-01-01Z' AND '9999-12-31T23:59:59.999999Z' THEN recorded_at END AS recorded_at,
                      correlation_id, causation_id,
                      traceparent, extensions::text, data::text AS "data!", leaf_hash
               FROM ledger.event "# + $condition,
            $($argument),+
        )
    };
}

/// The events of an org behind `after`, of the given families only (all when there are none): `run` for
/// `run.started` and its like.
///
/// # Errors
/// When PostgreSQL fails or a row is damaged.
pub async fn events_after(
    conn: &mut PgConnection,
    org_id: OrgId,
    after: Seq,
    families: &[&str],
    limit: Limit,
) -> Result<Page, ReadError> {
    // Read first, so that what is appended meanwhile is not skipped.
    let head = head(conn, org_id).await?.unwrap_or(Seq::ZERO);
    let mut rows = select!(
        "WHERE org_id = $1 AND seq > $2 AND seq <= $3 AND (cardinality($4::text[]) = 0 OR split_part(event_type, '.', 1) = ANY($4)) ORDER BY seq LIMIT $5",
        org_id as OrgId,
        after as Seq,
        head as Seq,
        families as &[&str],
        limit.events_max
    )
    .fetch(conn);
    let mut page = Page { events: Vec::new(), through: head.max(after) };
    let mut bytes = 0;
    while let Some(row) = rows.next().await {
        let event = row?.into_event(org_id)?;
        bytes += event.event.data.len();
        let seq = event.seq;
        page.events.push(event);
        if bytes >= limit.bytes_max || page.events.len() as i64 == limit.events_max {
            page.through = seq;
            break;
        }
    }
    Ok(page)
}

/// The events of some subjects, of the given families only (all when there are none), up to `through`, ordered by (subject, seq), as a stream.
pub fn events_of_subjects<'c>(
    conn: &'c mut PgConnection,
    org_id: OrgId,
    subjects: &'c [SubjectId],
    families: &'c [&str],
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, ReadError>> + 'c {
    select!(
        "WHERE org_id = $1 AND subject_id = ANY($2) AND seq <= $3 AND (cardinality($4::text[]) = 0 OR split_part(event_type, '.', 1) = ANY($4)) ORDER BY subject_id, seq",
        org_id as OrgId,
        subjects as &[SubjectId],
        through as Seq,
        families as &[&str]
    )
    .fetch(conn)
    .map(move |row| row?.into_event(org_id))
}

/// All events of an org from `from` on up to `through`, in the order of their seq, as a stream.
pub fn events_between(
    conn: &mut PgConnection,
    org_id: OrgId,
    from: Seq,
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, ReadError>> {
    select!("WHERE org_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq", org_id as OrgId, from as Seq, through as Seq)
        .fetch(conn)
        .map(move |row| row?.into_event(org_id))
}

/// How far an org's ledger goes; none while the org is not registered.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn head(conn: &mut PgConnection, org_id: OrgId) -> Result<Option<Seq>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT size AS "size: Seq" FROM ledger.head WHERE org_id = $1"#, org_id as OrgId)
        .fetch_optional(conn)
        .await
}

/// How far each org's ledger goes.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn heads(conn: &mut PgConnection) -> Result<Vec<(OrgId, Seq)>, sqlx::Error> {
    let rows =
        sqlx::query!(r#"SELECT org_id AS "org_id: OrgId", size AS "size: Seq" FROM ledger.head ORDER BY org_id"#);
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.org_id, row.size)).collect())
}

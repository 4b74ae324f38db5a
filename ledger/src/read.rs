//! Reading the ledger: what projectors fold and commands show, from the table and from the archive.
//!
//! An org's events become visible in the order of their seq, so what a reader has seen is complete up
//! to the last seq it saw.
//!
//! Events can be dropped from the table at any moment, between two statements. So every statement that reads
//! the table also tells up to where the archive alone has the events at that moment, and a reader that finds
//! this moved looks into the archive first. That takes a snapshot of each statement's own: do not read in
//! a transaction that is REPEATABLE READ.

mod by_subject;
mod of_subjects;

use std::{collections::HashSet, pin::pin};

use async_stream::try_stream;
use chrono::{DateTime, Utc};
use events::{
    Event, RecordedEvent, catalogue,
    id::{EventId, OrgId, Seq, SubjectId},
};
use futures::{Stream, StreamExt, stream::BoxStream};
use sqlx::PgConnection;

pub use self::{
    by_subject::events_by_subject,
    of_subjects::{events_of_subjects, subjects_begun},
};
use crate::archive::{self, FileError};

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
    /// The archive, which holds the event, failed.
    #[error(transparent)]
    Archive(#[from] FileError),
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

impl Page {
    /// How many bytes of payload it holds.
    pub fn bytes(&self) -> usize {
        self.events.iter().map(|recorded| recorded.event.data.len()).sum()
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    /// Up to here the archive alone has the org's events.
    archived_through: Seq,
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

/// The columns of [`Row`], but for the first, where the table is not known when this is compiled.
const COLUMNS: &str = "seq, event_id, event_type, schema_version, subject_id, source,
    CASE WHEN occurred_at BETWEEN '0001-01-01Z' AND '9999-12-31T23:59:59.999999Z' THEN occurred_at END AS occurred_at,
    CASE WHEN recorded_at BETWEEN '0001-01-01Z' AND '9999-12-31T23:59:59.999999Z' THEN recorded_at END AS recorded_at,
    correlation_id, causation_id, traceparent, extensions::text AS extensions, data::text AS data, leaf_hash";

/// Selects the columns of [`Row`] under a condition; `$1` is the org.
macro_rules! select {
    ($condition:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Row,
            r#"SELECT coalesce((SELECT max(last_seq) FROM ledger.archive WHERE org_id = $1 AND dropped_at IS NOT NULL), 0) AS "archived_through!: Seq",
                      seq AS "seq: Seq", event_id AS "event_id: EventId", event_type, schema_version,
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

/// What a page still has room for, and which families it is of.
pub(crate) struct Room<'f> {
    limit: Limit,
    families: &'f [&'f str],
    bytes: usize,
}

impl<'f> Room<'f> {
    pub(crate) fn new(limit: Limit, families: &'f [&'f str]) -> Self {
        Self { limit, families, bytes: 0 }
    }

    /// Whether the event is of a family asked for.
    pub(crate) fn is_for(&self, recorded: &RecordedEvent) -> bool {
        is_of(recorded, self.families)
    }

    /// Adds an event to the page if it is of a family asked for; whether the page is full then.
    pub(crate) fn add(&mut self, page: &mut Page, recorded: RecordedEvent) -> bool {
        if !self.is_for(&recorded) {
            return false;
        }
        self.bytes += recorded.event.data.len();
        page.through = recorded.seq;
        page.events.push(recorded);
        self.bytes >= self.limit.bytes_max || page.events.len() as i64 == self.limit.events_max
    }
}

fn is_of(recorded: &RecordedEvent, families: &[&str]) -> bool {
    families.is_empty() || families.contains(&catalogue::family(&recorded.event.event_type))
}

/// The events of an org behind `after`, of the given families only (all when there are none): `run` for
/// `run.started` and its like.
///
/// # Errors
/// When PostgreSQL fails, the archive does, or a row is damaged.
pub async fn events_after(
    conn: &mut PgConnection,
    org_id: OrgId,
    after: Seq,
    families: &[&str],
    limit: Limit,
) -> Result<Page, ReadError> {
    let mut page = Page { events: Vec::new(), through: after };
    // Events of all families say themselves how far they go. Otherwise the head does, read first, so that what is
    // appended meanwhile is not skipped.
    let head = match families {
        [] => Seq::new(i64::MAX),
        _ => head(conn, org_id).await?.unwrap_or(after),
    };
    let mut archived = Seq::ZERO;
    let mut room = Room::new(limit, families);
    while page.through < head {
        if page.through < archived {
            let mut events = pin!(archive::events_between(conn, org_id, page.through.next(), archived.min(head)));
            while let Some(recorded) = events.next().await {
                if room.add(&mut page, recorded?) {
                    return Ok(page);
                }
            }
            // What was archived and dropped meanwhile may lie behind the head that was read: that is for the next page.
            page.through = archived.min(head);
        }
        let rows = select!(
            "WHERE org_id = $1 AND seq > $2 AND seq <= $3 AND (cardinality($4::text[]) = 0 OR split_part(event_type, '.', 1) = ANY($4)) ORDER BY seq LIMIT $5",
            org_id as OrgId,
            page.through as Seq,
            head as Seq,
            families as &[&str],
            limit.events_max
        );
        match add_rows(rows.fetch(&mut *conn), org_id, archived, &mut room, &mut page).await? {
            Added::Full => return Ok(page),
            Added::Some => break,
            Added::ArchivedThrough(now) => archived = now,
            Added::None => match archive::through(conn, org_id).await? {
                now if now > archived.max(page.through) => archived = now,
                _ => break,
            },
        }
    }
    if !families.is_empty() {
        page.through = page.through.max(head);
    }
    Ok(page)
}

/// What rows of the table did to a page.
enum Added {
    /// There were none.
    None,
    /// Added all of them.
    Some,
    /// Made it full.
    Full,
    /// Nothing: these come first, from the archive.
    ArchivedThrough(Seq),
}

async fn add_rows(
    mut rows: impl Stream<Item = Result<Row, sqlx::Error>> + Unpin,
    org_id: OrgId,
    archived: Seq,
    room: &mut Room<'_>,
    page: &mut Page,
) -> Result<Added, ReadError> {
    let mut added = Added::None;
    let archived = archived.max(page.through);
    while let Some(row) = rows.next().await {
        let row = row?;
        if row.archived_through > archived {
            return Ok(Added::ArchivedThrough(row.archived_through));
        }
        if room.add(page, row.into_event(org_id)?) {
            return Ok(Added::Full);
        }
        added = Added::Some;
    }
    Ok(added)
}

/// All events of an org from `from` on up to `through`, in the order of their seq, as a stream.
pub fn events_between(
    conn: &mut PgConnection,
    org_id: OrgId,
    from: Seq,
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, ReadError>> {
    try_stream! {
        let mut from = from.max(Seq::ZERO.next());
        loop {
            let archived = archive::through(conn, org_id).await?;
            if from <= archived.min(through) {
                let mut events = pin!(archive::events_between(conn, org_id, from, archived.min(through)));
                while let Some(recorded) = events.next().await {
                    yield recorded?;
                }
                from = archived.next();
            }
            let mut rows = select!(
                "WHERE org_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq",
                org_id as OrgId,
                from as Seq,
                through as Seq
            )
            .fetch(&mut *conn);
            match rows.next().await.transpose()? {
                Some(first) if first.archived_through == archived => {
                    yield first.into_event(org_id)?;
                    while let Some(row) = rows.next().await {
                        yield row?.into_event(org_id)?;
                    }
                    return;
                }
                Some(_) => {}
                None => {
                    drop(rows);
                    if from > through || archive::through(conn, org_id).await? == archived {
                        return;
                    }
                }
            }
        }
    }
}

/// The events of a copy of the table, behind `after` up to `through`.
#[cfg(feature = "archive")]
pub(crate) fn events_of_table<'c>(
    conn: &'c mut PgConnection,
    table: &str,
    org_id: OrgId,
    after: Seq,
    through: Seq,
) -> impl Stream<Item = Result<RecordedEvent, ReadError>> + use<'c> {
    let select = format!(
        "SELECT 0::bigint AS archived_through, {COLUMNS} FROM {table} WHERE seq > $1 AND seq <= $2 ORDER BY seq"
    );
    let rows = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(select)).bind(after).bind(through).fetch(conn);
    rows.map(move |row| row?.into_event(org_id))
}

/// The rows of the table, for [`events_by_subject`].
fn rows_by_subject<'c>(
    conn: &'c mut PgConnection,
    org_id: OrgId,
    families: &'c [&str],
    through: Seq,
) -> BoxStream<'c, Result<Row, sqlx::Error>> {
    select!(
        "WHERE org_id = $1 AND seq <= $2 AND (cardinality($3::text[]) = 0 OR split_part(event_type, '.', 1) = ANY($3)) ORDER BY subject_id, seq",
        org_id as OrgId,
        through as Seq,
        families as &[&str]
    )
    .fetch(conn)
}

/// The rows of the table behind `after`, for [`events_of_subjects`]. `seq + 0` is explained in `of_subjects/begun.sql`.
fn rows_of_subjects<'c>(
    conn: &'c mut PgConnection,
    org_id: OrgId,
    subjects: &'c [SubjectId],
    families: &'c [&str],
    after: Seq,
    through: Seq,
) -> BoxStream<'c, Result<Row, sqlx::Error>> {
    select!(
        "WHERE org_id = $1 AND subject_id = ANY($2) AND seq + 0 > $3 AND seq + 0 <= $4 AND (cardinality($5::text[]) = 0 OR split_part(event_type, '.', 1) = ANY($5)) ORDER BY subject_id, seq",
        org_id as OrgId,
        subjects as &[SubjectId],
        after as Seq,
        through as Seq,
        families as &[&str]
    )
    .fetch(conn)
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

/// Which of these events an org's ledger has, in the table or in the archive.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn events_known(
    conn: &mut PgConnection,
    org_id: OrgId,
    event_ids: &[EventId],
) -> Result<HashSet<EventId>, sqlx::Error> {
    let event_ids: Vec<_> = event_ids.iter().map(|event_id| event_id.uuid()).collect();
    let known = sqlx::query_file_scalar!("src/read/known.sql", org_id as OrgId, &event_ids);
    Ok(known.fetch_all(conn).await?.into_iter().collect())
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

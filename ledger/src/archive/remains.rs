//! What stays in the database of an event that was dropped, and the hash over what stays of a file's events.
//!
//! Written by `archive --drop`, which keeps the hash with the file. [`crate::verify`] compares it with the hash, and
//! with the files also with the events.

use chrono::{DateTime, Utc};
use events::id::{EventId, OrgId, Seq, SubjectId};
#[cfg(feature = "archive")]
use events::{Event, RecordedEvent};
use futures::{StreamExt, stream::BoxStream};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::merkle::Hash;

/// The events that take a run back or bring it back.
#[cfg(feature = "archive")]
const CORRECTIONS: [&str; 2] = ["run.retracted", "run.reinstated"];

/// Of every event: a row of `ledger.archived_event`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    pub(crate) seq: Seq,
    pub(crate) event_id: EventId,
    pub(crate) subject_id: SubjectId,
    pub(crate) is_of_run: bool,
    pub(crate) leaf_hash: Vec<u8>,
    pub(crate) content_hash: Vec<u8>,
    pub(crate) provenance: Option<Provenance>,
}

/// Of an event that an import brought, and of a correction: a row of `ledger.archived_provenance`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    pub(crate) event_id: EventId,
    pub(crate) subject_id: SubjectId,
    pub(crate) event_type: String,
    pub(crate) source: String,
    /// None where the row holds a time that nothing of ours writes, such as infinity.
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    pub(crate) import_id: Option<String>,
}

#[cfg(feature = "archive")]
impl Remains {
    pub(crate) fn of(recorded: &RecordedEvent) -> Self {
        let event = &recorded.event;
        Self {
            seq: recorded.seq,
            event_id: event.event_id,
            subject_id: event.subject_id,
            is_of_run: !is_correction(event) && matches!(event.event_type.split('.').next(), Some("run" | "step")),
            leaf_hash: recorded.leaf_hash.to_vec(),
            content_hash: crate::content::content_hash(event).to_vec(),
            provenance: Provenance::of(recorded),
        }
    }
}

#[cfg(feature = "archive")]
impl Provenance {
    fn of(recorded: &RecordedEvent) -> Option<Self> {
        let event = &recorded.event;
        let import_id = event.extension_map().remove("importid");
        (import_id.is_some() || is_correction(event)).then(|| Self {
            event_id: event.event_id,
            subject_id: event.subject_id,
            event_type: event.event_type.clone(),
            source: event.source.clone(),
            occurred_at: Some(event.occurred_at),
            recorded_at: Some(recorded.recorded_at),
            import_id,
        })
    }
}

#[cfg(feature = "archive")]
fn is_correction(event: &Event) -> bool {
    CORRECTIONS.contains(&event.event_type.as_str())
}

struct Row {
    seq: Seq,
    event_id: EventId,
    subject_id: SubjectId,
    is_of_run: bool,
    leaf_hash: Vec<u8>,
    content_hash: Vec<u8>,
    origin_event_id: Option<EventId>,
    origin_subject_id: Option<SubjectId>,
    event_type: Option<String>,
    source: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
    recorded_at: Option<DateTime<Utc>>,
    import_id: Option<String>,
}

impl From<Row> for Remains {
    fn from(row: Row) -> Self {
        let ids = row.origin_event_id.zip(row.origin_subject_id);
        let provenance = ids.map(|(event_id, subject_id)| Provenance {
            event_id,
            subject_id,
            event_type: row.event_type.unwrap_or_default(),
            source: row.source.unwrap_or_default(),
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            import_id: row.import_id,
        });
        Self {
            seq: row.seq,
            event_id: row.event_id,
            subject_id: row.subject_id,
            is_of_run: row.is_of_run,
            leaf_hash: row.leaf_hash,
            content_hash: row.content_hash,
            provenance,
        }
    }
}

/// What the database keeps of some events, in the order of seq.
pub(crate) fn remains(
    conn: &mut PgConnection,
    org_id: OrgId,
    first: Seq,
    last: Seq,
) -> BoxStream<'_, Result<Remains, sqlx::Error>> {
    let rows = sqlx::query_file_as!(Row, "src/archive/remains.sql", org_id as OrgId, first as Seq, last as Seq);
    rows.fetch(conn).map(|row| Ok(row?.into())).boxed()
}

/// The hash over what stays of a file's events: SHA-256 of 0x01 ‖ for each, in the order of seq, integers big-endian,
/// seq i64 ‖ event_id 16 ‖ subject_id 16 ‖ is_of_run u8 ‖ leaf_hash 32 ‖ content_hash 32 ‖ 0x00, or 0x01 and of its
/// provenance event_id 16 ‖ subject_id 16 ‖ occurred_at, recorded_at, each i64 µs since 1970 (the least if it is no
/// time) ‖ event_type, source, import_id, each u32 length ‖ UTF-8 (0xFFFFFFFF alone for null).
pub(crate) struct RemainsHash(Sha256);

impl RemainsHash {
    pub(crate) fn new() -> Self {
        Self(Sha256::new_with_prefix([0x01]))
    }

    pub(crate) fn add(&mut self, remains: &Remains) {
        let hash = &mut self.0;
        hash.update(remains.seq.get().to_be_bytes());
        hash.update(remains.event_id.uuid().as_bytes());
        hash.update(remains.subject_id.uuid().as_bytes());
        hash.update([remains.is_of_run.into()]);
        hash.update(&remains.leaf_hash);
        hash.update(&remains.content_hash);
        hash.update([remains.provenance.is_some().into()]);
        let Some(provenance) = &remains.provenance else { return };
        hash.update(provenance.event_id.uuid().as_bytes());
        hash.update(provenance.subject_id.uuid().as_bytes());
        for time in [provenance.occurred_at, provenance.recorded_at] {
            hash.update(time.map_or(i64::MIN, |time| time.timestamp_micros()).to_be_bytes());
        }
        for text in [Some(&provenance.event_type), Some(&provenance.source), provenance.import_id.as_ref()] {
            hash.update(text.map_or(u32::MAX, |text| text.len() as u32).to_be_bytes());
            hash.update(text.map_or("", String::as_str));
        }
    }

    pub(crate) fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// What is kept of an event behind the last one that is archived: nothing of ours keeps it.
pub(crate) async fn beyond_archive(conn: &mut PgConnection, org_id: OrgId) -> Result<Option<Seq>, sqlx::Error> {
    // One statement, one snapshot: a file is recorded before anything is kept of its events.
    sqlx::query_scalar!(
        r#"WITH archived AS (SELECT coalesce(max(last_seq), 0) AS through FROM ledger.archive WHERE org_id = $1)
           SELECT least((SELECT min(seq) FROM ledger.archived_event WHERE org_id = $1 AND seq > through),
                        (SELECT min(seq) FROM ledger.archived_provenance WHERE org_id = $1 AND seq > through)) AS "seq: Seq"
           FROM archived"#,
        org_id as OrgId
    )
    .fetch_one(conn)
    .await
}

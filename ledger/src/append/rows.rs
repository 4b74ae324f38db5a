//! The rows of a batch of events, and the one statement that inserts them. Used by [`super::append`] and by
//! [`crate::restore`].

use chrono::{DateTime, Utc};
use events::{
    Event,
    id::{EventId, OrgId, Seq, SubjectId},
};
use sqlx::PgConnection;

use crate::merkle::Hash;

/// Rows of `ledger.event`, by column, for one INSERT.
#[derive(Default)]
pub struct Rows<'e> {
    org_ids: Vec<OrgId>,
    event_ids: Vec<EventId>,
    subject_ids: Vec<SubjectId>,
    seqs: Vec<Seq>,
    occurred_ats: Vec<DateTime<Utc>>,
    recorded_ats: Vec<DateTime<Utc>>,
    schema_versions: Vec<i16>,
    leaf_hashes: Vec<Hash>,
    event_types: Vec<&'e str>,
    sources: Vec<&'e str>,
    correlation_ids: Vec<Option<&'e str>>,
    causation_ids: Vec<Option<&'e str>>,
    traceparents: Vec<Option<&'e str>>,
    extensions: Vec<Option<&'e str>>,
    data: Vec<&'e str>,
}

impl<'e> Rows<'e> {
    pub fn push(&mut self, event: &'e Event, seq: Seq, recorded_at: DateTime<Utc>, leaf_hash: Hash) {
        self.org_ids.push(event.org_id);
        self.event_ids.push(event.event_id);
        self.subject_ids.push(event.subject_id);
        self.seqs.push(seq);
        self.occurred_ats.push(event.occurred_at);
        self.recorded_ats.push(recorded_at);
        self.schema_versions.push(event.schema_version);
        self.leaf_hashes.push(leaf_hash);
        self.event_types.push(&event.event_type);
        self.sources.push(&event.source);
        self.correlation_ids.push(event.correlation_id.as_deref());
        self.causation_ids.push(event.causation_id.as_deref());
        self.traceparents.push(event.traceparent.as_deref());
        self.extensions.push(event.extensions.as_deref());
        self.data.push(&event.data);
    }

    pub async fn insert(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.seqs.is_empty() {
            return Ok(());
        }
        let leaf_hashes: Vec<&[u8]> = self.leaf_hashes.iter().map(Hash::as_slice).collect();
        sqlx::query_file!(
            "src/append/insert.sql",
            &self.org_ids as &[OrgId],
            &self.event_ids as &[EventId],
            &self.subject_ids as &[SubjectId],
            &self.seqs as &[Seq],
            &self.occurred_ats,
            &self.recorded_ats,
            &self.schema_versions,
            &leaf_hashes as &[&[u8]],
            &self.event_types as &[&str],
            &self.sources as &[&str],
            &self.correlation_ids as &[Option<&str>],
            &self.causation_ids as &[Option<&str>],
            &self.traceparents as &[Option<&str>],
            &self.extensions as &[Option<&str>],
            &self.data as &[&str]
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

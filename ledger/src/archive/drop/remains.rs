//! What stays in the database of the events that are dropped.

use std::pin::pin;

use chrono::{DateTime, Utc};
use events::{
    Event, RecordedEvent,
    id::{EventId, OrgId, Seq, SubjectId},
};
use futures::{StreamExt, TryStreamExt};
use sqlx::{Connection, PgConnection};

use super::{super::write::ArchiveError, CHUNK};
use crate::{archive, content::content_hash};

/// The events that take a run back or bring it back.
const CORRECTIONS: [&str; 2] = ["run.retracted", "run.reinstated"];

/// Writes what stays of the events up to `through`, from where an attempt that was killed left off.
pub(super) async fn keep(
    reading: &mut PgConnection,
    owner: &mut PgConnection,
    org_id: OrgId,
    through: Seq,
    progress: &mut impl FnMut(u64),
) -> Result<(), ArchiveError> {
    let kept = sqlx::query_scalar!(
        r#"SELECT max(seq) AS "seq: Seq" FROM ledger.archived_event WHERE org_id = $1"#,
        org_id as OrgId
    );
    let kept = kept.fetch_one(&mut *reading).await?.unwrap_or(Seq::ZERO);
    let files = archive::files(reading, org_id).await?;
    let mut chunks = pin!(archive::events_between(files, kept.next(), through).try_chunks(CHUNK));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| error.1)?;
        let mut tx = owner.begin().await?;
        keep_events(&mut tx, org_id, &chunk).await?;
        keep_provenance(&mut tx, org_id, &chunk).await?;
        tx.commit().await?;
        progress(chunk.len() as u64);
    }
    Ok(())
}

fn is_correction(event: &Event) -> bool {
    CORRECTIONS.contains(&event.event_type.as_str())
}

fn is_of_run(event: &Event) -> bool {
    !is_correction(event) && matches!(event.event_type.split('.').next(), Some("run" | "step"))
}

async fn keep_events(conn: &mut PgConnection, org_id: OrgId, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    let event_ids: Vec<EventId> = events.iter().map(|recorded| recorded.event.event_id).collect();
    let subject_ids: Vec<SubjectId> = events.iter().map(|recorded| recorded.event.subject_id).collect();
    let seqs: Vec<Seq> = events.iter().map(|recorded| recorded.seq).collect();
    let are_of_runs: Vec<bool> = events.iter().map(|recorded| is_of_run(&recorded.event)).collect();
    let leaf_hashes: Vec<&[u8]> = events.iter().map(|recorded| recorded.leaf_hash.as_slice()).collect();
    let content_hashes: Vec<Vec<u8>> = events.iter().map(|recorded| content_hash(&recorded.event).to_vec()).collect();
    sqlx::query!(
        "INSERT INTO ledger.archived_event (org_id, event_id, subject_id, seq, is_of_run, leaf_hash, content_hash)
         SELECT $1, * FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::boolean[], $6::bytea[], $7::bytea[])",
        org_id as OrgId,
        &event_ids as &[EventId],
        &subject_ids as &[SubjectId],
        &seqs as &[Seq],
        &are_of_runs,
        &leaf_hashes as &[&[u8]],
        &content_hashes
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Of those that an import brought, and of corrections, what is asked of them.
async fn keep_provenance(conn: &mut PgConnection, org_id: OrgId, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    let import_id = |event: &Event| event.extension_map().remove("importid");
    let events: Vec<(&RecordedEvent, Option<String>)> = events
        .iter()
        .map(|recorded| (recorded, import_id(&recorded.event)))
        .filter(|(recorded, import_id)| import_id.is_some() || is_correction(&recorded.event))
        .collect();
    if events.is_empty() {
        return Ok(());
    }
    let event_ids: Vec<EventId> = events.iter().map(|(recorded, _)| recorded.event.event_id).collect();
    let subject_ids: Vec<SubjectId> = events.iter().map(|(recorded, _)| recorded.event.subject_id).collect();
    let seqs: Vec<Seq> = events.iter().map(|(recorded, _)| recorded.seq).collect();
    let event_types: Vec<&str> = events.iter().map(|(recorded, _)| recorded.event.event_type.as_str()).collect();
    let sources: Vec<&str> = events.iter().map(|(recorded, _)| recorded.event.source.as_str()).collect();
    let occurred_ats: Vec<DateTime<Utc>> = events.iter().map(|(recorded, _)| recorded.event.occurred_at).collect();
    let recorded_ats: Vec<DateTime<Utc>> = events.iter().map(|(recorded, _)| recorded.recorded_at).collect();
    let import_ids: Vec<Option<&str>> = events.iter().map(|(_, import_id)| import_id.as_deref()).collect();
    sqlx::query!(
        "INSERT INTO ledger.archived_provenance
             (org_id, event_id, subject_id, seq, event_type, source, occurred_at, recorded_at, import_id)
         SELECT $1, * FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
                                  $7::timestamptz[], $8::timestamptz[], $9::text[])",
        org_id as OrgId,
        &event_ids as &[EventId],
        &subject_ids as &[SubjectId],
        &seqs as &[Seq],
        &event_types as &[&str],
        &sources as &[&str],
        &occurred_ats,
        &recorded_ats,
        &import_ids as &[Option<&str>]
    )
    .execute(conn)
    .await?;
    Ok(())
}

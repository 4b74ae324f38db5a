//! Writes what stays in the database of the events that are dropped.

use chrono::{DateTime, Utc};
use events::id::{EventId, OrgId, Seq, SubjectId};
use futures::TryStreamExt;
use sqlx::{Connection, PgConnection};

use super::{super::ArchiveError, CHUNK};
use crate::{
    archive::{
        ArchiveFile, Groups,
        remains::{self, Provenance, Remains, RemainsHash},
    },
    merkle::Hash,
};

/// Writes what stays of the events of a file, as far as an attempt that was killed has not, and gives the hash over all
/// that has to stay.
pub(super) async fn keep(
    reading: &mut PgConnection,
    owner: &mut PgConnection,
    file: &ArchiveFile,
    progress: &mut impl FnMut(u64),
) -> Result<Hash, ArchiveError> {
    let mut hash = RemainsHash::new();
    let mut groups = Groups::of(vec![file.clone()], file.org_id, file.first, file.last);
    while let Some(group) = groups.next(reading).await? {
        for chunk in group.chunks(CHUNK) {
            let remains: Vec<Remains> = chunk.iter().map(Remains::of).collect();
            let mut tx = owner.begin().await?;
            keep_remains(&mut tx, file.org_id, &remains).await?;
            keep_provenances(&mut tx, file.org_id, &remains).await?;
            tx.commit().await?;
            remains.iter().for_each(|remains| hash.add(remains));
            progress(chunk.len() as u64);
        }
    }
    Ok(hash.finish())
}

/// The hash over what the database keeps of the events of a file.
pub(super) async fn hash(conn: &mut PgConnection, file: &ArchiveFile) -> Result<Hash, sqlx::Error> {
    let mut hash = RemainsHash::new();
    let mut rows = remains::remains(conn, file.org_id, file.first, file.last);
    while let Some(remains) = rows.try_next().await? {
        hash.add(&remains);
    }
    Ok(hash.finish())
}

/// Has `verify` compare from now on what stays of the events of a file.
pub(super) async fn record_hash(owner: &mut PgConnection, file: &ArchiveFile, hash: &Hash) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE ledger.archive SET remains_hash = $3 WHERE org_id = $1 AND first_seq = $2",
        file.org_id as OrgId,
        file.first as Seq,
        hash.as_slice()
    )
    .execute(owner)
    .await?;
    Ok(())
}

async fn keep_remains(conn: &mut PgConnection, org_id: OrgId, remains: &[Remains]) -> Result<(), sqlx::Error> {
    let event_ids: Vec<EventId> = remains.iter().map(|kept| kept.event_id).collect();
    let subject_ids: Vec<SubjectId> = remains.iter().map(|kept| kept.subject_id).collect();
    let seqs: Vec<Seq> = remains.iter().map(|kept| kept.seq).collect();
    let are_of_runs: Vec<bool> = remains.iter().map(|kept| kept.is_of_run).collect();
    let leaf_hashes: Vec<&[u8]> = remains.iter().map(|kept| kept.leaf_hash.as_slice()).collect();
    let content_hashes: Vec<&[u8]> = remains.iter().map(|kept| kept.content_hash.as_slice()).collect();
    // A row that is there and is another shows when the hash is compared.
    sqlx::query!(
        "INSERT INTO ledger.archived_event (org_id, event_id, subject_id, seq, is_of_run, leaf_hash, content_hash)
         SELECT $1, * FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::boolean[], $6::bytea[], $7::bytea[])
         ON CONFLICT DO NOTHING",
        org_id as OrgId,
        &event_ids as &[EventId],
        &subject_ids as &[SubjectId],
        &seqs as &[Seq],
        &are_of_runs,
        &leaf_hashes as &[&[u8]],
        &content_hashes as &[&[u8]]
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn keep_provenances(conn: &mut PgConnection, org_id: OrgId, remains: &[Remains]) -> Result<(), sqlx::Error> {
    let (seqs, provenances): (Vec<Seq>, Vec<&Provenance>) =
        remains.iter().filter_map(|kept| Some((kept.seq, kept.provenance.as_ref()?))).unzip();
    if seqs.is_empty() {
        return Ok(());
    }
    let event_ids: Vec<EventId> = provenances.iter().map(|kept| kept.event_id).collect();
    let subject_ids: Vec<SubjectId> = provenances.iter().map(|kept| kept.subject_id).collect();
    let event_types: Vec<&str> = provenances.iter().map(|kept| kept.event_type.as_str()).collect();
    let sources: Vec<&str> = provenances.iter().map(|kept| kept.source.as_str()).collect();
    let occurred_ats: Vec<Option<DateTime<Utc>>> = provenances.iter().map(|kept| kept.occurred_at).collect();
    let recorded_ats: Vec<Option<DateTime<Utc>>> = provenances.iter().map(|kept| kept.recorded_at).collect();
    let import_ids: Vec<Option<&str>> = provenances.iter().map(|kept| kept.import_id.as_deref()).collect();
    sqlx::query!(
        "INSERT INTO ledger.archived_provenance
             (org_id, event_id, subject_id, seq, event_type, source, occurred_at, recorded_at, import_id)
         SELECT $1, * FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
                                  $7::timestamptz[], $8::timestamptz[], $9::text[])
         ON CONFLICT DO NOTHING",
        org_id as OrgId,
        &event_ids as &[EventId],
        &subject_ids as &[SubjectId],
        &seqs as &[Seq],
        &event_types as &[&str],
        &sources as &[&str],
        &occurred_ats as &[Option<DateTime<Utc>>],
        &recorded_ats as &[Option<DateTime<Utc>>],
        &import_ids as &[Option<&str>]
    )
    .execute(conn)
    .await?;
    Ok(())
}

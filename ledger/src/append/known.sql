-- Which of these ids the org has used. Of an archived event the table holds nothing any more; what was
-- kept of it is the hash of its content. Where both have it, the table was not swapped yet.
SELECT seq AS "seq!: Seq", event_id AS "event_id!: EventId", event_type AS "event_type!", source AS "source!",
       subject_id AS "subject_id!: SubjectId", occurred_at AS "occurred_at!", schema_version AS "schema_version!",
       sha256(convert_to(data::text, 'UTF8')) AS "data_sha256!", NULL::bytea AS archived_content_hash
FROM ledger.event WHERE org_id = $1 AND event_id = ANY($2)
UNION ALL
SELECT seq, event_id, '', '', subject_id, 'epoch', 0::smallint, '', content_hash
FROM ledger.archived_event WHERE org_id = $1 AND event_id = ANY($2)

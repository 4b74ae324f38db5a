-- Which of these ids the org has used. Of an archived event the table holds nothing any more; what was
-- kept of it is the hash of its content. Where both have it, the table was not swapped yet.
-- LIMIT, because the planner knows little of a partition that is filling, and would read all of it.
SELECT seq AS "seq!: Seq", sent.event_id AS "event_id!: EventId", event_type AS "event_type!", source AS "source!",
       subject_id AS "subject_id!: SubjectId", occurred_at AS "occurred_at!", schema_version AS "schema_version!",
       data_sha256 AS "data_sha256!", NULL::bytea AS archived_content_hash
FROM UNNEST($2::uuid[]) AS sent (event_id) CROSS JOIN LATERAL (
    SELECT seq, event_type, source, subject_id, occurred_at, schema_version, sha256(convert_to(data::text, 'UTF8')) AS data_sha256
    FROM ledger.event WHERE org_id = $1 AND event.event_id = sent.event_id LIMIT 1) AS event
UNION ALL
SELECT seq, event_id, '', '', subject_id, 'epoch', 0::smallint, '', content_hash
FROM ledger.archived_event WHERE org_id = $1 AND event_id = ANY($2)

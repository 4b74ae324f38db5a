-- One statement, so that what is being written by a drop is seen with its provenance or not at all. A provenance
-- alone counts for nothing: every dropped event has its row, and the ledger asks for no other.
SELECT seq AS "seq!: Seq", kept.event_id AS "event_id!: EventId", kept.subject_id AS "subject_id!: SubjectId",
       is_of_run AS "is_of_run!", leaf_hash AS "leaf_hash!", content_hash AS "content_hash!",
       origin.event_id AS "origin_event_id?: EventId", origin.subject_id AS "origin_subject_id?: SubjectId",
       event_type AS "event_type?", source AS "source?",
       CASE WHEN occurred_at BETWEEN '0001-01-01Z' AND '9999-12-31T23:59:59.999999Z' THEN occurred_at END AS occurred_at,
       CASE WHEN recorded_at BETWEEN '0001-01-01Z' AND '9999-12-31T23:59:59.999999Z' THEN recorded_at END AS recorded_at,
       import_id AS "import_id?"
FROM ledger.archived_event AS kept LEFT JOIN ledger.archived_provenance AS origin USING (org_id, seq)
WHERE org_id = $1 AND seq BETWEEN $2 AND $3
ORDER BY seq

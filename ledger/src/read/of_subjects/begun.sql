-- Where a partition has no statistics yet, PostgreSQL takes any condition on seq for the most selective one and
-- walks the org from its first event. `seq + 0` hides it, and a count, unlike EXISTS, is not planned for its first
-- row: what is left is to look each subject up in its index.
SELECT wanted.subject_id AS "subject_id!: SubjectId"
FROM UNNEST($2::uuid[]) AS wanted (subject_id)
WHERE (SELECT count(*) FROM ledger.event
       WHERE org_id = $1 AND subject_id = wanted.subject_id AND seq + 0 <= $3) > 0
   OR (SELECT count(*) FROM ledger.archived_event
       WHERE org_id = $1 AND subject_id = wanted.subject_id AND seq + 0 <= $3) > 0

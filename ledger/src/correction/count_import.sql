WITH retracted AS (
    SELECT subject_id
    FROM (
        SELECT DISTINCT ON (subject_id) subject_id, event_type
        FROM ledger.provenance
        WHERE org_id = $1 AND event_type IN ('run.retracted', 'run.reinstated')
        ORDER BY subject_id, occurred_at DESC, event_id DESC
    ) AS correction
    WHERE event_type = 'run.retracted'
)
SELECT count(*) FILTER (WHERE event_type <> 'run.reinstated') AS "events!",
       -- Subjects of other families are orgs and users, which no revert takes back.
       count(DISTINCT brought.subject_id) FILTER (WHERE split_part(event_type, '.', 1) IN ('run', 'step')) AS "runs!",
       count(DISTINCT retracted.subject_id) AS "retracted!"
FROM ledger.provenance AS brought
LEFT JOIN retracted USING (subject_id)
WHERE brought.org_id = $1
  AND brought.import_id = $2
  -- As in the index.
  AND octet_length(brought.import_id) <= 512
  AND brought.event_type <> 'run.retracted'

SELECT run.run_id AS "run_id!: RunId", correction.event_type AS "event_type?", correction.seq AS "seq?: Seq",
       correction.occurred_at AS "time?", correction.import_id
FROM UNNEST($2::uuid[]) AS run (run_id)
LEFT JOIN LATERAL (
    SELECT event_type, seq, occurred_at, import_id
    FROM ledger.provenance
    WHERE org_id = $1 AND subject_id = run.run_id AND event_type IN ('run.retracted', 'run.reinstated')
    ORDER BY occurred_at DESC, event_id DESC
    LIMIT 1
) AS correction ON true
-- Corrections alone make no run.
WHERE EXISTS (
    SELECT
    FROM ledger.event
    WHERE org_id = $1
      AND subject_id = run.run_id
      AND split_part(event_type, '.', 1) IN ('run', 'step')
      AND event_type NOT IN ('run.retracted', 'run.reinstated')
) OR EXISTS (SELECT FROM ledger.archived_event WHERE org_id = $1 AND subject_id = run.run_id AND is_of_run)
ORDER BY run.run_id

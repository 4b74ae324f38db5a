-- Nothing is left to chance, and ANALYZE looks at every row, so the statistics are the same each time.
INSERT INTO ledger.head (org_id, size, frontier, root, updated_at)
SELECT (lpad(n::text, 8, '0') || '-0000-4000-8000-00000000aaaa')::uuid, 0, '{}', sha256(''), '2026-01-01' FROM generate_series(1, 500) n;

INSERT INTO user_workflow_run
    (org_id, run_id, workflow_id, workflow_revision, status, channel, external_id, started_at, context, flags, created_at, updated_at)
SELECT (lpad((n % 3 + 1)::text, 8, '0') || '-0000-4000-8000-00000000aaaa')::uuid,
       ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       (lpad((i % 20)::text, 8, '0') || '-0000-4000-8000-00000000bbbb')::uuid, 1,
       CASE WHEN i % 20 < 17 THEN 'completed' WHEN i % 20 < 19 THEN 'failed' ELSE 'running' END,
       CASE WHEN i % 10 < 7 THEN 'web' WHEN i % 10 < 9 THEN 'voice' ELSE 'efax' END,
       'CLM-' || n, created_at,
       jsonb_build_object('payer', 'payer-' || CASE WHEN i % 3 = 0 THEN 0 ELSE i % 40 END, 'member_id', 'M' || n, 'batch', 'batch-' || i / 400),
       CASE WHEN i % 1000 = 7 THEN '{implausible_time}'::text[] WHEN i % 25 = 1 THEN '{events_missing}'::text[] ELSE '{}' END,
       created_at, created_at
FROM (SELECT n, n / 3 AS i, timestamptz '2026-01-01 00:00:00Z' + n * interval '10 s' AS created_at FROM generate_series(0, 23999) n) AS run;

INSERT INTO user_workflow_run_step (org_id, run_id, step_id, step_number, status, created_at, updated_at)
SELECT org_id, run_id, ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, n, 'completed', created_at, created_at
FROM user_workflow_run, generate_series(1, 4) n;

SET default_statistics_target = 400;
ANALYZE ledger.head;
ANALYZE user_workflow_run;
ANALYZE user_workflow_run_step;
RESET default_statistics_target;

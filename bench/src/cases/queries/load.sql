-- Runs of 20 orgs, one every 20 seconds over all of them, each with six steps; the run with most steps has 50. They are
-- loaded as a rebuild loads them: into bare tables, which then get what the serving ones have and serve in their place.
SET synchronous_commit = off;
INSERT INTO ledger.head (org_id) SELECT md5('org' || n)::uuid FROM generate_series(0, 19) n;
SELECT ledger.begin_projection('user_workflow_run', 1, 'bench');
SELECT ledger.start_generation('user_workflow_run', 1, 'bench', false, true);

INSERT INTO rebuild.user_workflow_run
    (org_id, run_id, workflow_id, workflow_revision, status, channel, external_id, started_at, ended_at, duration_ms, context, flags, created_at, updated_at)
SELECT md5('org' || n % 20)::uuid, md5('run' || n)::uuid, md5('workflow' || i % 50)::uuid, 1,
       CASE WHEN chance < 0.90 THEN 'completed' WHEN chance < 0.95 THEN 'failed' WHEN chance < 0.98 THEN 'running' WHEN chance < 0.99 THEN 'cancelled'
            WHEN chance < 0.995 THEN 'timeout' ELSE 'pending' END,
       (ARRAY['web', 'web', 'web', 'voice', 'efax', 'web', 'voice', 'web', 'portal', 'web'])[1 + i % 10],
       'CLM-' || n, created_at, created_at + interval '90 s', 90000,
       jsonb_build_object('payer', 'payer-' || floor(power(other, 3) * 200), 'batch', 'batch-' || i / 500, 'member_id', 'M' || n, 'attempts', i % 4,
                          'claim', jsonb_build_object('cpt', '99' || n % 997)),
       CASE WHEN third < 0.0005 THEN '{implausible_time}' WHEN third < 0.01 THEN '{no_start}' WHEN third < 0.03 THEN '{events_missing}' ELSE '{}' END::text[],
       created_at, created_at + interval '90 s'
FROM (SELECT n, n / 20 AS i, random() AS chance, random() AS other, random() AS third,
             timestamptz '2026-01-01' + n * interval '20 s' + random() * interval '1 hour' AS created_at
      FROM generate_series(0, $runs - 1) n) AS run;

INSERT INTO rebuild.user_workflow_run_step
    (org_id, run_id, step_id, node_id, step_number, status, started_at, ended_at, duration_ms, input_data, output_data, metadata, created_at, updated_at)
SELECT org_id, run_id, gen_random_uuid(), gen_random_uuid(), n, 'completed', created_at, created_at + interval '5 s', 5000,
       '{"url": "https://portal.example/claims"}', '{"ok": true, "pages": 3}', '{"label": "Look up claim"}', created_at, updated_at
FROM rebuild.user_workflow_run, LATERAL generate_series(1, CASE run_id WHEN md5('run0')::uuid THEN 50 ELSE 6 END) n;

SELECT ledger.finish_table('user_workflow_run');
SELECT ledger.finish_table('user_workflow_run_step');
SELECT ledger.generation_loaded('user_workflow_run', generation, 1, 1) FROM ledger.generation WHERE place = 'rebuild';
SELECT ledger.swap_generation('user_workflow_run', generation) FROM ledger.generation WHERE place = 'rebuild';
SELECT ledger.drop_generation('user_workflow_run', 'replaced');
VACUUM (ANALYZE) user_workflow_run, user_workflow_run_step, ledger.head;
CHECKPOINT;

INSERT INTO naive_run AS run (org_id, run_id, workflow_id, workflow_revision, status, channel, external_id, context,
                              config_snapshot, created_at, updated_at)
VALUES ($1, $2, ($5::jsonb ->> 'workflow_id')::uuid, ($5 ->> 'workflow_revision')::int, 'pending', $5 ->> 'channel',
        $5 ->> 'external_id', coalesce($5 -> 'context', '{}'), coalesce($5 -> 'config_snapshot', '{}'), $4, $4)
ON CONFLICT (org_id, run_id) DO UPDATE SET
    status = CASE $3 WHEN 'started' THEN 'running' WHEN 'completed' THEN 'completed' ELSE run.status END,
    started_at = CASE $3 WHEN 'started' THEN $4 ELSE run.started_at END,
    ended_at = CASE $3 WHEN 'completed' THEN $4 ELSE run.ended_at END,
    duration_ms = CASE $3 WHEN 'completed' THEN extract(epoch FROM $4 - run.started_at) * 1000 ELSE run.duration_ms END,
    context = run.context || excluded.context,
    config_snapshot = run.config_snapshot || excluded.config_snapshot,
    updated_at = $4

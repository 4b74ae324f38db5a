INSERT INTO naive_step AS step (org_id, run_id, step_id, node_id, step_number, status, started_at, input_data,
                                created_at, updated_at)
VALUES ($1, $2, ($5::jsonb ->> 'step_id')::uuid, ($5 ->> 'node_id')::uuid, ($5 ->> 'step_number')::int, 'running', $4,
        $5 -> 'input_data', $4, $4)
ON CONFLICT (org_id, run_id, step_id) DO UPDATE SET
    status = CASE $3 WHEN 'completed' THEN 'completed' ELSE step.status END,
    ended_at = CASE $3 WHEN 'completed' THEN $4 ELSE step.ended_at END,
    duration_ms = CASE $3 WHEN 'completed' THEN extract(epoch FROM $4 - step.started_at) * 1000 ELSE step.duration_ms END,
    output_data = coalesce($5 -> 'output_data', step.output_data),
    updated_at = $4

INSERT INTO limit_step (org_id, run_id, step_id, node_id, step_number, status, retry_count, started_at, ended_at,
                        duration_ms, input_data, output_data, created_at, updated_at)
SELECT org_id, subject_id, step_id::uuid,
       (max(data ->> 'node_id') FILTER (WHERE event_type = 'step.started'))::uuid,
       (max(data ->> 'step_number') FILTER (WHERE event_type = 'step.started'))::int,
       CASE WHEN bool_or(event_type = 'step.completed') THEN 'completed' ELSE 'running' END,
       max(coalesce((data ->> 'attempt')::int, 0)),
       min(occurred_at) FILTER (WHERE event_type = 'step.started'),
       max(occurred_at) FILTER (WHERE event_type = 'step.completed'),
       extract(epoch FROM max(occurred_at) FILTER (WHERE event_type = 'step.completed')
                          - min(occurred_at) FILTER (WHERE event_type = 'step.started')) * 1000,
       (max((data -> 'input_data')::text) FILTER (WHERE event_type = 'step.started'))::jsonb,
       (max((data -> 'output_data')::text) FILTER (WHERE event_type = 'step.completed'))::jsonb,
       min(occurred_at), max(occurred_at)
FROM (SELECT *, data ->> 'step_id' AS step_id FROM ledger.event WHERE event_type LIKE 'step.%') AS event
GROUP BY org_id, subject_id, step_id

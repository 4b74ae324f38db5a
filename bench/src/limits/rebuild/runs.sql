INSERT INTO limit_run (org_id, run_id, workflow_id, workflow_revision, status, channel, external_id, started_at, ended_at,
                       duration_ms, context, config_snapshot, created_at, updated_at)
SELECT org_id, subject_id,
       (max(data ->> 'workflow_id') FILTER (WHERE event_type = 'run.created'))::uuid,
       (max(data ->> 'workflow_revision') FILTER (WHERE event_type = 'run.created'))::int,
       CASE WHEN bool_or(event_type = 'run.completed') THEN 'completed'
            WHEN bool_or(event_type = 'run.started') THEN 'running' ELSE 'pending' END,
       max(data ->> 'channel') FILTER (WHERE event_type = 'run.created'),
       max(data ->> 'external_id') FILTER (WHERE event_type = 'run.created'),
       min(occurred_at) FILTER (WHERE event_type = 'run.started'),
       max(occurred_at) FILTER (WHERE event_type = 'run.completed'),
       extract(epoch FROM max(occurred_at) FILTER (WHERE event_type = 'run.completed')
                          - min(occurred_at) FILTER (WHERE event_type = 'run.started')) * 1000,
       (max((data -> 'context')::text) FILTER (WHERE event_type = 'run.created'))::jsonb
       || (max((data -> 'context')::text) FILTER (WHERE event_type = 'run.context_added'))::jsonb
       || (max((data -> 'context')::text) FILTER (WHERE event_type = 'run.completed'))::jsonb,
       (max((data -> 'config_snapshot')::text) FILTER (WHERE event_type = 'run.started'))::jsonb,
       min(occurred_at), max(occurred_at)
FROM ledger.event
WHERE event_type LIKE 'run.%' OR event_type LIKE 'step.%'
GROUP BY org_id, subject_id

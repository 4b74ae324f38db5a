INSERT INTO user_workflow_run AS run
    (org_id, run_id, workflow_id, workflow_revision, parent_run_id, status, channel, external_id,
     started_at, ended_at, duration_ms, context, config_snapshot, endpoints_used,
     error_message, error_details, flags, created_by, created_at, updated_at, legacy_trace_id)
-- JSON travels as text, so that numbers reach jsonb as they were sent; flags are joined by commas,
-- because UNNEST would flatten arrays of arrays.
SELECT org_id, run_id, workflow_id, workflow_revision, parent_run_id, status, channel, external_id,
       started_at, ended_at, duration_ms, context::jsonb, config_snapshot::jsonb, endpoints_used::jsonb,
       error_message, error_details::jsonb, string_to_array(flags, ','), created_by, created_at, updated_at, legacy_trace_id
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::text[], $17::text[], $18::uuid[], $19::timestamptz[], $20::timestamptz[], $21::bigint[]
) AS new
    (org_id, run_id, workflow_id, workflow_revision, parent_run_id, status, channel, external_id,
     started_at, ended_at, duration_ms, context, config_snapshot, endpoints_used,
     error_message, error_details, flags, created_by, created_at, updated_at, legacy_trace_id)
ON CONFLICT (org_id, run_id) DO UPDATE SET
    workflow_id = excluded.workflow_id,
    workflow_revision = excluded.workflow_revision,
    parent_run_id = excluded.parent_run_id,
    status = excluded.status,
    channel = excluded.channel,
    external_id = excluded.external_id,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    duration_ms = excluded.duration_ms,
    context = excluded.context,
    config_snapshot = excluded.config_snapshot,
    endpoints_used = excluded.endpoints_used,
    error_message = excluded.error_message,
    error_details = excluded.error_details,
    flags = excluded.flags,
    created_by = excluded.created_by,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    legacy_trace_id = excluded.legacy_trace_id

INSERT INTO user_workflow_run_step AS step
    (org_id, run_id, step_id, node_id, step_number, status, retry_count, started_at, ended_at, duration_ms,
     input_data, output_data, screenshots, events, error_message, error_details, metadata, flags,
     created_at, updated_at, legacy_step_id)
-- JSON travels as text, so that numbers reach jsonb as they were sent; flags are joined by commas,
-- because UNNEST would flatten arrays of arrays.
SELECT org_id, run_id, step_id, node_id, step_number, status, retry_count, started_at, ended_at, duration_ms,
       input_data::jsonb, output_data::jsonb, screenshots::jsonb, events::jsonb, error_message, error_details::jsonb,
       metadata::jsonb, string_to_array(flags, ','), created_at, updated_at, legacy_step_id
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::text[], $7::int[],
    $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::text[], $17::text[], $18::text[], $19::timestamptz[], $20::timestamptz[], $21::bigint[]
) AS new
    (org_id, run_id, step_id, node_id, step_number, status, retry_count, started_at, ended_at, duration_ms,
     input_data, output_data, screenshots, events, error_message, error_details, metadata, flags,
     created_at, updated_at, legacy_step_id)
ON CONFLICT (org_id, run_id, step_id) DO UPDATE SET
    node_id = excluded.node_id,
    step_number = excluded.step_number,
    status = excluded.status,
    retry_count = excluded.retry_count,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    duration_ms = excluded.duration_ms,
    input_data = excluded.input_data,
    output_data = excluded.output_data,
    screenshots = excluded.screenshots,
    events = excluded.events,
    error_message = excluded.error_message,
    error_details = excluded.error_details,
    metadata = excluded.metadata,
    flags = excluded.flags,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    legacy_step_id = excluded.legacy_step_id

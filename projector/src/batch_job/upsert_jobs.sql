INSERT INTO batch_job AS job
    (org_id, batch_id, name, status, workflow_id, workflow_revision, external_id, rows_expected, rows_total,
     rows_pending, rows_running, rows_completed, rows_failed, rows_skipped, started_at, ended_at, duration_ms,
     context, error_message, error_details, flags, submitted_by, created_at, updated_at)
-- JSON travels as text, so that numbers reach jsonb as they were sent; flags are joined by commas,
-- because UNNEST would flatten arrays of arrays.
SELECT org_id, batch_id, name, status, workflow_id, workflow_revision, external_id, rows_expected, rows_total,
       rows_pending, rows_running, rows_completed, rows_failed, rows_skipped, started_at, ended_at, duration_ms,
       context::jsonb, error_message, error_details::jsonb, string_to_array(flags, ','), submitted_by, created_at,
       updated_at
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::int[], $7::text[], $8::int[], $9::int[],
    $10::int[], $11::int[], $12::int[], $13::int[], $14::int[], $15::timestamptz[], $16::timestamptz[],
    $17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::uuid[], $23::timestamptz[],
    $24::timestamptz[]
) AS new
    (org_id, batch_id, name, status, workflow_id, workflow_revision, external_id, rows_expected, rows_total,
     rows_pending, rows_running, rows_completed, rows_failed, rows_skipped, started_at, ended_at, duration_ms,
     context, error_message, error_details, flags, submitted_by, created_at, updated_at)
ON CONFLICT (org_id, batch_id) DO UPDATE SET
    name = excluded.name,
    status = excluded.status,
    workflow_id = excluded.workflow_id,
    workflow_revision = excluded.workflow_revision,
    external_id = excluded.external_id,
    rows_expected = excluded.rows_expected,
    rows_total = excluded.rows_total,
    rows_pending = excluded.rows_pending,
    rows_running = excluded.rows_running,
    rows_completed = excluded.rows_completed,
    rows_failed = excluded.rows_failed,
    rows_skipped = excluded.rows_skipped,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    duration_ms = excluded.duration_ms,
    context = excluded.context,
    error_message = excluded.error_message,
    error_details = excluded.error_details,
    flags = excluded.flags,
    submitted_by = excluded.submitted_by,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

INSERT INTO batch_row AS batch_row
    (org_id, batch_id, row_id, row_number, status, run_id, external_id, started_at, ended_at, duration_ms,
     error_message, error_details, flags, created_at, updated_at)
-- JSON travels as text, so that numbers reach jsonb as they were sent; flags are joined by commas,
-- because UNNEST would flatten arrays of arrays.
SELECT org_id, batch_id, row_id, row_number, status, run_id, external_id, started_at, ended_at, duration_ms,
       error_message, error_details::jsonb, string_to_array(flags, ','), created_at, updated_at
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::uuid[], $7::text[], $8::timestamptz[],
    $9::timestamptz[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::timestamptz[],
    $15::timestamptz[]
) AS new
    (org_id, batch_id, row_id, row_number, status, run_id, external_id, started_at, ended_at, duration_ms,
     error_message, error_details, flags, created_at, updated_at)
ON CONFLICT (org_id, batch_id, row_id) DO UPDATE SET
    row_number = excluded.row_number,
    status = excluded.status,
    run_id = excluded.run_id,
    external_id = excluded.external_id,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    duration_ms = excluded.duration_ms,
    error_message = excluded.error_message,
    error_details = excluded.error_details,
    flags = excluded.flags,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

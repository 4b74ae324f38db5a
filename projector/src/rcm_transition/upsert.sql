INSERT INTO rcm_transition (org_id, from_state, action, to_state, count, first_seen_at, last_seen_at, flags)
SELECT org_id, from_state, action, to_state, count, first_seen_at, last_seen_at,
       -- UNNEST would flatten arrays of arrays.
       string_to_array(flags, ',')
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::text[]
) AS new (org_id, from_state, action, to_state, count, first_seen_at, last_seen_at, flags)
ON CONFLICT (org_id, from_state, action, to_state) DO UPDATE SET
    count = excluded.count,
    first_seen_at = excluded.first_seen_at,
    last_seen_at = excluded.last_seen_at,
    flags = excluded.flags

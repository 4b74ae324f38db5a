INSERT INTO macro_state
    (org_id, macro_state_id, origin, name, description, portal_type, label, defined_by, micro_states, observed_count,
     example_id, first_seen_at, last_seen_at, flags)
SELECT org_id, macro_state_id, origin, name, description, portal_type, label, defined_by, micro_states, observed_count,
       -- UNNEST would flatten arrays of arrays.
       example_id, first_seen_at, last_seen_at, string_to_array(flags, ',')
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::int[],
    $10::bigint[], $11::uuid[], $12::timestamptz[], $13::timestamptz[], $14::text[]
) AS new
    (org_id, macro_state_id, origin, name, description, portal_type, label, defined_by, micro_states, observed_count,
     example_id, first_seen_at, last_seen_at, flags)
ON CONFLICT (org_id, macro_state_id) DO UPDATE SET
    origin = excluded.origin,
    name = excluded.name,
    description = excluded.description,
    portal_type = excluded.portal_type,
    label = excluded.label,
    defined_by = excluded.defined_by,
    micro_states = excluded.micro_states,
    observed_count = excluded.observed_count,
    example_id = excluded.example_id,
    first_seen_at = excluded.first_seen_at,
    last_seen_at = excluded.last_seen_at,
    flags = excluded.flags

INSERT INTO workflow_revision AS revision
    (org_id, workflow_id, revision, name, description, nodes, transitions, event_id, flags, created_by, created_at)
-- JSON travels as text, so that numbers reach jsonb as they were sent; flags are joined by commas,
-- because UNNEST would flatten arrays of arrays.
SELECT org_id, workflow_id, revision, name, description, nodes::jsonb, transitions::jsonb, event_id,
       string_to_array(flags, ','), created_by, created_at
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[],
    $10::uuid[], $11::timestamptz[]
) AS new
    (org_id, workflow_id, revision, name, description, nodes, transitions, event_id, flags, created_by, created_at)
ON CONFLICT (org_id, workflow_id, revision) DO UPDATE SET
    name = excluded.name,
    description = excluded.description,
    nodes = excluded.nodes,
    transitions = excluded.transitions,
    event_id = excluded.event_id,
    flags = excluded.flags,
    created_by = excluded.created_by,
    created_at = excluded.created_at

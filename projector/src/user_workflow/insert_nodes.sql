INSERT INTO user_workflow_node AS node
    (org_id, workflow_id, node_id, revision, position, label, kind, metadata)
-- JSON travels as text, so that numbers reach jsonb as they were sent.
SELECT org_id, workflow_id, node_id, revision, position, label, kind, metadata::jsonb
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::int[], $6::text[], $7::text[], $8::text[]
) AS new
    (org_id, workflow_id, node_id, revision, position, label, kind, metadata)

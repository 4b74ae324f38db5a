INSERT INTO user_workflow_transition AS transition
    (org_id, workflow_id, position, revision, from_node_id, to_node_id, condition)
-- JSON travels as text, so that numbers reach jsonb as they were sent.
SELECT org_id, workflow_id, position, revision, from_node_id, to_node_id, condition::jsonb
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::uuid[], $6::uuid[], $7::text[]
) AS new
    (org_id, workflow_id, position, revision, from_node_id, to_node_id, condition)

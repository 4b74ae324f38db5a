SELECT row_to_json(shown)::text
FROM (
    SELECT workflow.*, (
        SELECT json_agg(kept ORDER BY kept.revision)
        FROM (
            SELECT revision, name, created_at, jsonb_array_length(nodes) AS node_count,
                   jsonb_array_length(transitions) AS transition_count, flags
            FROM workflow_revision
            WHERE org_id = workflow.org_id AND workflow_id = workflow.workflow_id
        ) AS kept
    ) AS revisions, (
        SELECT row_to_json(definition)
        FROM workflow_revision definition
        WHERE definition.org_id = workflow.org_id AND definition.workflow_id = workflow.workflow_id
          AND definition.revision = coalesce($3, workflow.revision)
    ) AS definition
    FROM user_workflow workflow
    WHERE workflow.workflow_id = $1 AND ($2::uuid IS NULL OR workflow.org_id = $2)
    ORDER BY workflow.org_id
) AS shown

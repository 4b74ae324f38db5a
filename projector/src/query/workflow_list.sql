SELECT row_to_json(workflow)::text
FROM user_workflow workflow
WHERE ($1::uuid IS NULL OR org_id = $1) AND ($2::text IS NULL OR status = $2)
ORDER BY name, org_id, workflow_id
LIMIT $3

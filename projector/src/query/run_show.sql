SELECT row_to_json(shown)::text
FROM (
    SELECT run.*, (
        SELECT coalesce(json_agg(step ORDER BY step.step_number NULLS LAST, step.created_at, step.step_id), '[]')
        FROM user_workflow_run_step step
        WHERE step.org_id = run.org_id AND step.run_id = run.run_id
    ) AS steps
    FROM user_workflow_run run
    WHERE run.run_id = $1 AND ($2::uuid IS NULL OR run.org_id = $2)
    ORDER BY run.org_id
) AS shown

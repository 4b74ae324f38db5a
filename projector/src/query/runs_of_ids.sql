SELECT shown.run_id AS "run_id!: RunId", row_to_json(shown)::text AS "row!"
FROM (
    SELECT run.*, coalesce(steps.of_run, '[]') AS steps
    FROM user_workflow_run run
    -- Once for all runs, and not once a run.
    LEFT JOIN (
        SELECT step.run_id, json_agg(step ORDER BY step.step_number NULLS LAST, step.created_at, step.step_id) AS of_run
        FROM user_workflow_run_step step
        WHERE step.org_id = $1 AND step.run_id = ANY($2)
        GROUP BY step.run_id
    ) AS steps USING (run_id)
    WHERE run.org_id = $1 AND run.run_id = ANY($2)
) AS shown

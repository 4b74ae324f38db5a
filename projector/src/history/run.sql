-- The JSON of `query/run_show.sql`, from rows that are in no table. The tables' types read the columns
-- as the upsert does; json and not jsonb, so that a JSON column's text reaches jsonb as it was sent.
SELECT row_to_json(shown)::text
FROM (
    SELECT run.*, (
        SELECT coalesce(json_agg(step ORDER BY step.step_number NULLS LAST, step.created_at, step.step_id), '[]')
        FROM json_populate_recordset(NULL::user_workflow_run_step, $2::text::json) step
    ) AS steps
    FROM json_populate_record(NULL::user_workflow_run, $1::text::json) run
) AS shown

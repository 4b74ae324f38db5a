SELECT row_to_json(shown)::text
FROM (
    SELECT batch.*, (
        SELECT coalesce(json_agg(listed ORDER BY listed.row_number, listed.row_id), '[]')
        FROM (
            SELECT * FROM batch_row
            WHERE org_id = batch.org_id AND batch_id = batch.batch_id AND ($3::text IS NULL OR status = $3)
            ORDER BY row_number, row_id
            LIMIT $4
        ) AS listed
    ) AS rows
    FROM batch_job batch
    WHERE batch.batch_id = $1 AND ($2::uuid IS NULL OR batch.org_id = $2)
    ORDER BY batch.org_id
) AS shown

-- Each org's page comes from that org's index, and the pages are merged: see run_list.sql.
SELECT row_to_json(batch)::text
FROM ledger.head
CROSS JOIN LATERAL (
    SELECT * FROM batch_job
    WHERE org_id = head.org_id
      AND ($2::text IS NULL OR status = $2)
      AND ($3::timestamptz IS NULL OR (created_at, batch_id, org_id) < ($3, $4::uuid, $5::uuid))
    ORDER BY created_at DESC, batch_id DESC
    LIMIT $6
) AS batch
WHERE $1::uuid IS NULL OR head.org_id = $1
ORDER BY batch.created_at DESC, batch.batch_id DESC, batch.org_id DESC
LIMIT $6

-- Each org's page comes from that org's index, and the pages are merged: across orgs nothing is sorted
-- but a page an org. The row comparison is the keyset: no OFFSET, whatever the page.
SELECT row_to_json(run)::text
FROM ledger.head
CROSS JOIN LATERAL (
    SELECT * FROM user_workflow_run
    WHERE org_id = head.org_id
      AND ($2::text IS NULL OR status = $2)
      AND ($3::text IS NULL OR channel = $3)
      AND ($4::uuid IS NULL OR workflow_id = $4)
      AND ($5::text IS NULL OR external_id = $5)
      AND ($6::text IS NULL OR flags @> ARRAY[$6])
      -- As it stands in the predicates of the indexes of flagged runs.
      AND ($6::text IS NULL OR flags <> '{}')
      AND ($13::jsonb IS NULL OR context @> $13)
      -- Where few have it: a tenant's `@>` alone is not looked up in an index.
      AND ($14::uuid[] IS NULL OR run_id = ANY($14))
      AND ($7::timestamptz IS NULL OR created_at >= $7)
      AND ($8::timestamptz IS NULL OR created_at < $8)
      AND ($9::timestamptz IS NULL OR (created_at, run_id, org_id) < ($9, $10::uuid, $11::uuid))
    ORDER BY created_at DESC, run_id DESC
    LIMIT $12
) AS run
WHERE $1::uuid IS NULL OR head.org_id = $1
ORDER BY run.created_at DESC, run.run_id DESC, run.org_id DESC
LIMIT $12

-- Returns the orgs of which some events are archived.
-- Arrays of arrays cannot be unnested one by one: a frontier travels as its hashes, of 32 bytes, end to end.
UPDATE ledger.head
SET size = stored.size, root = stored.root, updated_at = stored.updated_at,
    frontier = ARRAY(SELECT substring(stored.frontier FROM start FOR 32)
                     FROM generate_series(1, octet_length(stored.frontier), 32) AS start ORDER BY start)
FROM UNNEST($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[], $5::timestamptz[])
    AS stored (org_id, size, frontier, root, updated_at)
WHERE head.org_id = stored.org_id
RETURNING CASE WHEN EXISTS (SELECT FROM ledger.archive WHERE archive.org_id = head.org_id) THEN head.org_id END AS "archived: OrgId"

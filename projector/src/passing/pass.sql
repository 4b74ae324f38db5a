-- Whoever holds a checkpoint moves it himself. `updated_at` stays: it says when somebody folded last.
UPDATE ledger.checkpoint c SET seq = standing.through
FROM (
    SELECT c.projection, c.generation, c.org_id, c.seq, past.through
    FROM UNNEST($1::text[], $2::int[], $3::uuid[], $4::bigint[], $5::bigint[])
        AS past (projection, version, org_id, after, through)
    JOIN ledger.kept_generation kept ON kept.projection = past.projection AND kept.version = past.version
    JOIN ledger.checkpoint c
        ON c.projection = kept.projection AND c.generation = kept.generation AND c.org_id = past.org_id
    WHERE c.seq >= past.after AND c.seq < past.through
    FOR UPDATE OF c SKIP LOCKED
) AS standing
WHERE c.projection = standing.projection AND c.generation = standing.generation AND c.org_id = standing.org_id
RETURNING c.projection AS "projection!", c.org_id AS "org_id!: OrgId", standing.seq AS "from!: Seq", c.seq AS "to!: Seq"

-- Whoever holds a checkpoint moves it himself. `updated_at` stays: it says when somebody folded last. What has no
-- checkpoint yet stands before the first event; whoever else makes it at this moment is waited for.
WITH past AS (
    SELECT kept.projection, kept.version, kept.generation, past.org_id, past.after, past.through
    FROM UNNEST($1::text[], $2::int[], $3::uuid[], $4::bigint[], $5::bigint[])
        AS past (projection, version, org_id, after, through)
    JOIN ledger.kept_generation kept ON kept.projection = past.projection AND kept.version = past.version
),
begun AS (
    INSERT INTO ledger.checkpoint (projection, version, generation, org_id, seq, updated_at)
    SELECT projection, version, generation, org_id, through, 'epoch' FROM past
    WHERE after = 0 AND NOT EXISTS (
        SELECT FROM ledger.checkpoint c
        WHERE c.projection = past.projection AND c.generation = past.generation AND c.org_id = past.org_id)
    ORDER BY org_id, projection
    ON CONFLICT DO NOTHING
    RETURNING projection, org_id, 0::bigint AS "from", seq AS "to"
),
standing AS (
    SELECT c.projection, c.generation, c.org_id, c.seq, past.through
    FROM past
    JOIN ledger.checkpoint c
        ON c.projection = past.projection AND c.generation = past.generation AND c.org_id = past.org_id
    WHERE c.seq >= past.after AND c.seq < past.through
    FOR UPDATE OF c SKIP LOCKED
),
moved AS (
    UPDATE ledger.checkpoint c SET seq = standing.through FROM standing
    WHERE c.projection = standing.projection AND c.generation = standing.generation AND c.org_id = standing.org_id
    RETURNING c.projection, c.org_id, standing.seq AS "from", c.seq AS "to"
)
SELECT projection AS "projection!", org_id AS "org_id!: OrgId", "from" AS "from!: Seq", "to" AS "to!: Seq" FROM moved
UNION ALL
SELECT projection, org_id, "from", "to" FROM begun

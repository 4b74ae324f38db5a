-- Which tables are meant, looked up under the lock that a swap waits for.
WITH generation AS (
    SELECT generation, place FROM ledger.kept_generation
    WHERE projection = $1 AND version = $2 AND $5::int IS NULL
    UNION ALL
    SELECT generation, place FROM ledger.generation WHERE projection = $1 AND version = $2 AND generation = $5
)
SELECT c.org_id AS "org_id!: OrgId", c.seq AS "seq!: Seq", generation.generation AS "generation!",
       -- `ledger::recent::INCARNATION`
       (SELECT concat(pg_postmaster_start_time(), ' ', oid) FROM pg_database WHERE datname = current_database()) AS "incarnation!",
       -- The statements of the fold name tables without a schema. No other schema: a table that is missing
       -- must not be taken for the one that serves.
       set_config('search_path', generation.place, true) AS search_path
FROM generation
CROSS JOIN UNNEST($3::uuid[], $4::bigint[]) AS wanted (org_id, left_at)
JOIN ledger.checkpoint c
    ON c.projection = $1 AND c.generation = generation.generation AND c.org_id = wanted.org_id
WHERE c.seq = wanted.left_at OR c.updated_at < now() - interval '1 second'
FOR UPDATE OF c SKIP LOCKED

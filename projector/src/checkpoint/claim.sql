-- Which tables are meant, looked up under the lock that a swap waits for.
WITH generation AS (
    SELECT generation, place FROM ledger.kept_generation
    WHERE projection = $1 AND version = $2 AND $5::int IS NULL
    UNION ALL
    SELECT generation, place FROM ledger.generation WHERE projection = $1 AND version = $2 AND generation = $5
)
SELECT seq AS "seq!: Seq", generation.generation AS "generation!",
       -- The statements of the fold name tables without a schema. No other schema: a table that is missing
       -- must not be taken for the one that serves.
       set_config('search_path', generation.place, true) AS search_path
FROM generation JOIN ledger.checkpoint c ON c.projection = $1 AND c.generation = generation.generation AND c.org_id = $3
WHERE seq = $4 OR updated_at < now() - interval '1 second'
FOR UPDATE OF c SKIP LOCKED

-- An org may hold millions of imported events of few imports: from each import's first event the index
-- leads to the next import's.
WITH RECURSIVE import AS (
    (SELECT import_id, source, recorded_at
     FROM ledger.provenance
     WHERE org_id = $1
       AND octet_length(import_id) <= 512
     ORDER BY import_id, seq
     LIMIT 1)
    UNION ALL
    SELECT next.import_id, next.source, next.recorded_at
    FROM import
    CROSS JOIN LATERAL (
        SELECT later.import_id, later.source, later.recorded_at
        FROM ledger.provenance AS later
        WHERE org_id = $1
          AND octet_length(later.import_id) <= 512
          AND later.import_id > import.import_id
        ORDER BY later.import_id, seq
        LIMIT 1
    ) AS next
)
SELECT import_id AS "import_id!", source AS "source!", recorded_at AS "imported_at!"
FROM import
ORDER BY recorded_at DESC, import_id
LIMIT $2

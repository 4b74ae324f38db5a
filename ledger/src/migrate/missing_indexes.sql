-- A partitioned index is not valid as long as a partition lacks its part.
SELECT index.relname::text AS "index!", partition.relname::text AS "partition!",
       pg_get_indexdef(index.oid) AS "definition!"
FROM pg_index AS indexed
JOIN pg_class AS index ON index.oid = indexed.indexrelid
JOIN pg_inherits AS belongs ON belongs.inhparent = indexed.indrelid
JOIN pg_class AS partition ON partition.oid = belongs.inhrelid
WHERE indexed.indrelid = to_regclass('ledger.event')
  AND NOT indexed.indisvalid
  AND NOT EXISTS (
      SELECT
      FROM pg_inherits AS attached
      JOIN pg_index AS part ON part.indexrelid = attached.inhrelid
      WHERE attached.inhparent = index.oid AND part.indrelid = partition.oid
  )
ORDER BY 1, 2

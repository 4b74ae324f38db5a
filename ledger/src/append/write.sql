-- All that a batch changes, in one statement: heads, cursors and events. UNNEST because COPY does not work under
-- row-level security; `extensions` and `data` travel as text, because the bytes are kept as they are.
WITH head AS (
    -- A head that somebody has written since it was read has another xmin, and an org whose events may be archived
    -- needs a look at their ids.
    -- Arrays of arrays cannot be unnested one by one: a frontier travels as its hashes, of 32 bytes, end to end.
    UPDATE ledger.head
    SET size = stored.size, root = stored.root, updated_at = stored.updated_at,
        frontier = ARRAY(SELECT substring(stored.frontier FROM start FOR 32)
                         FROM generate_series(1, octet_length(stored.frontier), 32) AS start ORDER BY start)
    FROM UNNEST($1::uuid[], $2::bigint[], $3::boolean[], $4::bigint[], $5::bytea[], $6::bytea[], $7::timestamptz[])
        AS stored (org_id, version, looked_up, size, frontier, root, updated_at)
    WHERE head.org_id = stored.org_id
      AND head.xmin::text::bigint = stored.version
      AND (stored.looked_up OR NOT EXISTS (SELECT FROM ledger.archive WHERE archive.org_id = head.org_id))
    RETURNING head.org_id, head.xmin::text::bigint AS version
),
cursor AS (
    UPDATE ledger.ingest_cursor AS cursor
    SET stream_seq = moved.stream_seq, message_at = moved.message_at, updated_at = now()
    FROM UNNEST($10::int[], $11::bigint[], $12::bigint[], $13::timestamptz[])
        AS moved (partition, before, stream_seq, message_at)
    WHERE cursor.stream = $8 AND cursor.stream_created_at = $9 AND cursor.partition = moved.partition
      AND cursor.stream_seq = moved.before
    RETURNING cursor.partition
),
event AS (
    INSERT INTO ledger.event (org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version, leaf_hash,
                              event_type, source, correlation_id, causation_id, traceparent, extensions, data)
    SELECT org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version, leaf_hash,
           event_type, source, correlation_id, causation_id, traceparent, extensions::json, data::json
    FROM UNNEST($14::uuid[], $15::uuid[], $16::uuid[], $17::bigint[], $18::timestamptz[], $19::timestamptz[],
                $20::smallint[], $21::bytea[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[],
                $27::text[], $28::text[])
        AS row (org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version, leaf_hash,
                event_type, source, correlation_id, causation_id, traceparent, extensions, data)
)
SELECT coalesce(array_agg(org_id), '{}') AS "org_ids!: Vec<OrgId>", coalesce(array_agg(version), '{}') AS "versions!",
       ledger.require(count(*) = cardinality($1::uuid[]), 'RL001', 'a head was written meanwhile') AS heads,
       ledger.require((SELECT count(*) FROM cursor) = cardinality($10::int[]), 'RL002', 'a cursor was moved meanwhile') AS cursors
FROM head

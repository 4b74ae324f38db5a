-- The nearest $9 of $8 that the index hands out, almost in order; it goes on until there are so
-- many, or gives up: `seen` tells.
WITH near AS MATERIALIZED (
    SELECT org_id AS near_org_id, micro_state_id AS near_id, text_embedding <=> $1::real[]::halfvec AS distance
    FROM micro_state
    WHERE text_embedding IS NOT NULL
      AND ($2::uuid IS NULL OR org_id = $2)
      AND ($3::text IS NULL OR embedding_model = $3)
      AND ($4::text IS NULL OR portal_type = $4)
      AND ($5::text IS NULL OR label = $5)
      AND ($6::timestamptz IS NULL OR last_seen_at >= $6)
      AND ($7::uuid IS NULL OR micro_state_id <> $7)
    ORDER BY text_embedding <=> $1::real[]::halfvec
    LIMIT $8
)
SELECT to_json(found)::text AS found, (SELECT count(*) FROM near) AS "seen!"
FROM (
    SELECT distance, org_id, micro_state_id, label, labelled_by, portal_type, endpoint_id, run_id, step_id, node_id, url, title,
           observed_count, first_seen_at, last_seen_at, encode(content_hash, 'hex') AS content_hash, rendition, embedding_model,
           ui, screenshot, flags, created_at, updated_at
    FROM near JOIN micro_state ON org_id = near_org_id AND micro_state_id = near_id
    -- The sum, because PostgreSQL takes what the index hands out for sorted, and it is not quite.
    ORDER BY distance + 0, org_id, micro_state_id
    LIMIT $9
) AS found

SELECT to_json(listed)::text
FROM (
    SELECT org_id, micro_state_id, label, labelled_by, portal_type, endpoint_id, run_id, step_id, node_id, url, title,
           observed_count, first_seen_at, last_seen_at, encode(content_hash, 'hex') AS content_hash, rendition, embedding_model,
           ui, screenshot, flags, created_at, updated_at
    FROM micro_state
    WHERE ($1::uuid IS NULL OR org_id = $1)
      AND ($2::text IS NULL OR portal_type = $2)
      AND ($3::text IS NULL OR label = $3)
      AND ($4::timestamptz IS NULL OR last_seen_at >= $4)
    ORDER BY last_seen_at DESC, micro_state_id DESC
    LIMIT $5
) AS listed

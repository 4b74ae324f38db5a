SELECT to_json(shown)::text
FROM (
    SELECT org_id, micro_state_id, label, labelled_by, portal_type, endpoint_id, run_id, step_id, node_id, url, title,
           observed_count, first_seen_at, last_seen_at, encode(content_hash, 'hex') AS content_hash, rendition, embedding_model,
           ui, screenshot, flags, created_at, updated_at,
           image_embedding IS NOT NULL AS has_image_embedding,
           -- Of this org, what is the same screen to an embedder.
           ARRAY(SELECT same.micro_state_id FROM micro_state same
                 WHERE same.org_id = screen.org_id AND same.content_hash = screen.content_hash
                   AND same.micro_state_id <> screen.micro_state_id
                 ORDER BY same.micro_state_id LIMIT 100) AS same_content
    FROM micro_state screen
    WHERE micro_state_id = $1 AND ($2::uuid IS NULL OR org_id = $2)
    ORDER BY org_id
) AS shown

INSERT INTO micro_state AS known
    (org_id, micro_state_id, run_id, step_id, node_id, portal_type, endpoint_id, url, title, ui, screenshot,
     label, labelled_by, content_hash, rendition, embedding_model, text_embedding, image_embedding,
     observed_count, first_seen_at, last_seen_at, flags, created_at, updated_at)
-- JSON travels as text, so that numbers reach jsonb as they were sent; flags are joined by commas, and the numbers of all
-- embeddings are one array, because UNNEST would flatten arrays of arrays. Where the tables are in the making, the search path
-- has no `public`.
SELECT org_id, micro_state_id, run_id, step_id, node_id, portal_type, endpoint_id, url, title, ui::jsonb, screenshot::jsonb,
       label, labelled_by, content_hash, rendition, embedding_model,
       CASE WHEN text_at IS NOT NULL THEN ($25::real[])[text_at * 768 + 1 : (text_at + 1) * 768]::public.halfvec END,
       CASE WHEN image_at IS NOT NULL THEN ($26::real[])[image_at * 512 + 1 : (image_at + 1) * 512]::public.halfvec END,
       observed_count, first_seen_at, last_seen_at, string_to_array(flags, ','), created_at, updated_at
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::uuid[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::uuid[], $14::bytea[], $15::text[], $16::text[], $17::int[], $18::int[], $19::int[],
    $20::timestamptz[], $21::timestamptz[], $22::text[], $23::timestamptz[], $24::timestamptz[]
) AS new
    (org_id, micro_state_id, run_id, step_id, node_id, portal_type, endpoint_id, url, title, ui, screenshot,
     label, labelled_by, content_hash, rendition, embedding_model, text_at, image_at,
     observed_count, first_seen_at, last_seen_at, flags, created_at, updated_at)
ON CONFLICT (org_id, micro_state_id) DO UPDATE SET
    run_id = excluded.run_id,
    step_id = excluded.step_id,
    node_id = excluded.node_id,
    portal_type = excluded.portal_type,
    endpoint_id = excluded.endpoint_id,
    url = excluded.url,
    title = excluded.title,
    ui = excluded.ui,
    screenshot = excluded.screenshot,
    label = excluded.label,
    labelled_by = excluded.labelled_by,
    content_hash = excluded.content_hash,
    rendition = excluded.rendition,
    embedding_model = excluded.embedding_model,
    -- The very value that stands there, if it is the same: an index is left alone only then.
    text_embedding = CASE WHEN known.text_embedding OPERATOR(public.=) excluded.text_embedding
        THEN known.text_embedding ELSE excluded.text_embedding END,
    image_embedding = CASE WHEN known.image_embedding OPERATOR(public.=) excluded.image_embedding
        THEN known.image_embedding ELSE excluded.image_embedding END,
    observed_count = excluded.observed_count,
    first_seen_at = excluded.first_seen_at,
    last_seen_at = excluded.last_seen_at,
    flags = excluded.flags,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

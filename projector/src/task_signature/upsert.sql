INSERT INTO task_signature (org_id, task_signature_id, portal_type_id, endpoint_id, task_type_id, step_labels, source, alias_of, created_at, updated_at)
SELECT org_id, task_signature_id, portal_type_id, endpoint_id, task_type_id, ARRAY(SELECT jsonb_array_elements_text(step_labels::jsonb)), source, alias_of, created_at, updated_at
FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::uuid[], $9::timestamptz[], $10::timestamptz[])
    AS new (org_id, task_signature_id, portal_type_id, endpoint_id, task_type_id, step_labels, source, alias_of, created_at, updated_at)
ON CONFLICT (org_id, task_signature_id) DO UPDATE SET
    portal_type_id = excluded.portal_type_id,
    endpoint_id = excluded.endpoint_id,
    task_type_id = excluded.task_type_id,
    step_labels = excluded.step_labels,
    source = excluded.source,
    alias_of = excluded.alias_of,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

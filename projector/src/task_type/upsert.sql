INSERT INTO task_type (org_id, task_type_id, domain, action, display_name, description, x12_transaction, status, created_at, updated_at)
SELECT org_id, task_type_id, domain, action, display_name, description, x12_transaction, status, created_at, updated_at
FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[])
    AS new (org_id, task_type_id, domain, action, display_name, description, x12_transaction, status, created_at, updated_at)
ON CONFLICT (org_id, task_type_id) DO UPDATE SET
    domain = excluded.domain,
    action = excluded.action,
    display_name = excluded.display_name,
    description = excluded.description,
    x12_transaction = excluded.x12_transaction,
    status = excluded.status,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

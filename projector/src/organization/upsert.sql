INSERT INTO organization AS org (org_id, name, org_type, settings, status, created_at, updated_at)
SELECT org_id, name, org_type, settings::jsonb, status, created_at, updated_at
FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
    AS new (org_id, name, org_type, settings, status, created_at, updated_at)
ON CONFLICT (org_id) DO UPDATE SET
    name = excluded.name,
    org_type = excluded.org_type,
    settings = excluded.settings,
    status = excluded.status,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

INSERT INTO portal_type (org_id, portal_type_id, name, description, channel_type, base_url, settings, status, created_at, updated_at)
SELECT org_id, portal_type_id, name, description, channel_type, base_url, settings::jsonb, status, created_at, updated_at
FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[])
    AS new (org_id, portal_type_id, name, description, channel_type, base_url, settings, status, created_at, updated_at)
ON CONFLICT (org_id, portal_type_id) DO UPDATE SET
    name = excluded.name,
    description = excluded.description,
    channel_type = excluded.channel_type,
    base_url = excluded.base_url,
    settings = excluded.settings,
    status = excluded.status,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

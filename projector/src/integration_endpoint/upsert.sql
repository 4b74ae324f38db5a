INSERT INTO integration_endpoint (org_id, endpoint_id, name, portal_type_id, channel_type, auth_type, base_url, settings, secret_ref, status, created_at, updated_at)
SELECT org_id, endpoint_id, name, portal_type_id, channel_type, auth_type, base_url, settings::jsonb, secret_ref, status, created_at, updated_at
FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[])
    AS new (org_id, endpoint_id, name, portal_type_id, channel_type, auth_type, base_url, settings, secret_ref, status, created_at, updated_at)
ON CONFLICT (org_id, endpoint_id) DO UPDATE SET
    name = excluded.name,
    portal_type_id = excluded.portal_type_id,
    channel_type = excluded.channel_type,
    auth_type = excluded.auth_type,
    base_url = excluded.base_url,
    settings = excluded.settings,
    secret_ref = excluded.secret_ref,
    status = excluded.status,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

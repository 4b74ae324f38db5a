INSERT INTO app_user AS usr (org_id, user_id, email, display_name, roles, status, created_at, updated_at)
-- Each list of roles travels as a JSON array, because UNNEST would flatten arrays of arrays.
SELECT org_id, user_id, email, display_name, ARRAY(SELECT jsonb_array_elements_text(roles::jsonb)), status, created_at, updated_at
FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
    AS new (org_id, user_id, email, display_name, roles, status, created_at, updated_at)
ON CONFLICT (org_id, user_id) DO UPDATE SET
    email = excluded.email,
    display_name = excluded.display_name,
    roles = excluded.roles,
    status = excluded.status,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

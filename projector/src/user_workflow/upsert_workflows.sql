INSERT INTO user_workflow AS workflow
    (org_id, workflow_id, name, description, revision, status, revision_count, node_count, transition_count,
     archived_at, archived_by, archive_reason, flags, created_by, created_at, updated_at)
-- Flags are joined by commas, because UNNEST would flatten arrays of arrays.
SELECT org_id, workflow_id, name, description, revision, status, revision_count, node_count, transition_count,
       archived_at, archived_by, archive_reason, string_to_array(flags, ','), created_by, created_at, updated_at
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::text[], $7::int[], $8::int[], $9::int[],
    $10::timestamptz[], $11::uuid[], $12::text[], $13::text[], $14::uuid[], $15::timestamptz[], $16::timestamptz[]
) AS new
    (org_id, workflow_id, name, description, revision, status, revision_count, node_count, transition_count,
     archived_at, archived_by, archive_reason, flags, created_by, created_at, updated_at)
ON CONFLICT (org_id, workflow_id) DO UPDATE SET
    name = excluded.name,
    description = excluded.description,
    revision = excluded.revision,
    status = excluded.status,
    revision_count = excluded.revision_count,
    node_count = excluded.node_count,
    transition_count = excluded.transition_count,
    archived_at = excluded.archived_at,
    archived_by = excluded.archived_by,
    archive_reason = excluded.archive_reason,
    flags = excluded.flags,
    created_by = excluded.created_by,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

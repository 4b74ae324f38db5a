INSERT INTO requirement_changelog AS change
    (org_id, event_id, tier, payer_id, task_type_id, field, version, change, before, after, reason, changed_by,
     changed_at, superseded_at)
-- JSON travels as text, so that numbers reach jsonb as they were sent.
SELECT org_id, event_id, tier, payer_id, task_type_id, field, version, change, before::jsonb, after::jsonb,
       reason, changed_by, changed_at, superseded_at
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::int[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::uuid[], $13::timestamptz[], $14::timestamptz[]
) AS new
    (org_id, event_id, tier, payer_id, task_type_id, field, version, change, before, after, reason, changed_by,
     changed_at, superseded_at)
-- What an event says stays as it is; its place among the others may change.
ON CONFLICT (org_id, event_id) DO UPDATE SET
    version = excluded.version,
    before = excluded.before,
    superseded_at = excluded.superseded_at

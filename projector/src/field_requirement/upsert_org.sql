INSERT INTO org_requirement_policy AS requirement
    (org_id, payer_id, task_type_id, field, action, level, rule, validation, help_text, status, version,
     reason, changed_by, event_id, created_at, updated_at)
-- JSON travels as text, so that numbers reach jsonb as they were sent.
SELECT org_id, payer_id, task_type_id, field, action, level, rule::jsonb, validation::jsonb, help_text, status,
       version, reason, changed_by, event_id, created_at, updated_at
FROM UNNEST(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::int[], $12::text[], $13::uuid[], $14::uuid[], $15::timestamptz[], $16::timestamptz[]
) AS new
    (org_id, payer_id, task_type_id, field, action, level, rule, validation, help_text, status, version,
     reason, changed_by, event_id, created_at, updated_at)
ON CONFLICT (org_id, payer_key, task_type_id, field) DO UPDATE SET
    action = excluded.action,
    level = excluded.level,
    rule = excluded.rule,
    validation = excluded.validation,
    help_text = excluded.help_text,
    status = excluded.status,
    version = excluded.version,
    reason = excluded.reason,
    changed_by = excluded.changed_by,
    event_id = excluded.event_id,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at

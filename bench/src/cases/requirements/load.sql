-- 20 task types of 30 fields that everyone has to know, 200 payers and $orgs orgs with rules of their own on one in a hundred
-- of the combinations. Each rule was changed once, so the log has two changes of it.
SET synchronous_commit = off;
SELECT setseed(0.5);
CREATE UNLOGGED TABLE rule AS
SELECT '00000000-0000-4000-8000-000000000001'::uuid AS org_id, 'global' AS tier, NULL::uuid AS payer_id, t, f
FROM generate_series(1, 20) t, generate_series(1, 30) f
UNION ALL
SELECT '00000000-0000-4000-8000-000000000001', 'payer', md5('payer' || p)::uuid, t, f
FROM generate_series(1, 200) p, generate_series(1, 20) t, generate_series(1, 30) f WHERE random() < 0.01
UNION ALL
SELECT md5('org' || o)::uuid, 'org', NULL, t, f
FROM generate_series(1, $orgs) o, generate_series(1, 20) t, generate_series(1, 30) f WHERE random() < 0.01
UNION ALL
SELECT md5('org' || o)::uuid, 'org_payer', md5('payer' || p)::uuid, t, f
FROM generate_series(1, $orgs) o, generate_series(1, 200) p, generate_series(1, 20) t, generate_series(1, 30) f WHERE random() < 0.01;

INSERT INTO organization (org_id, name, status, created_at, updated_at)
SELECT md5('org' || o)::uuid, 'org ' || o, 'active', '2026-01-01', '2026-01-01' FROM generate_series(1, $orgs) o;

INSERT INTO field_requirement (org_id, task_type_id, field, level, validation, help_text, status, version, event_id, created_at, updated_at)
SELECT org_id, md5('task' || t)::uuid, 'field_' || f, 'required', '{"pattern": "^[A-Z0-9]{6,20}$"}', 'On the card, below the name.', 'active', 2, gen_random_uuid(), '2026-01-01', '2026-02-01'
FROM rule WHERE tier = 'global';
INSERT INTO payer_requirement (org_id, payer_id, task_type_id, field, level, validation, status, version, event_id, created_at, updated_at)
SELECT org_id, payer_id, md5('task' || t)::uuid, 'field_' || f, 'required', '{"range": {"min": 1}}', 'active', 2, gen_random_uuid(), '2026-01-01', '2026-02-01'
FROM rule WHERE tier = 'payer';
INSERT INTO org_requirement_policy (org_id, payer_id, task_type_id, field, action, level, status, version, event_id, created_at, updated_at)
SELECT org_id, payer_id, md5('task' || t)::uuid, 'field_' || f, 'override', 'optional', 'active', 2, gen_random_uuid(), '2026-01-01', '2026-02-01'
FROM rule WHERE tier IN ('org', 'org_payer');

INSERT INTO requirement_changelog (org_id, event_id, tier, payer_id, task_type_id, field, version, change, before, after, changed_at, superseded_at)
SELECT org_id, gen_random_uuid(), tier, payer_id, md5('task' || t)::uuid, 'field_' || f, version, 'set',
       CASE version WHEN 2 THEN '{"level": "optional"}'::jsonb END, '{"level": "required", "help_text": "On the card, below the name."}',
       timestamptz '2025-12-01' + version * interval '1 month', CASE version WHEN 1 THEN timestamptz '2026-02-01' END
FROM rule, generate_series(1, 2) version;
DROP TABLE rule;
VACUUM (ANALYZE) organization, field_requirement, payer_requirement, org_requirement_policy, requirement_changelog;
CHECKPOINT;

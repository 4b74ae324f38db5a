SELECT 'global' AS "tier!", row_to_json(everyones)::text AS "row!"
FROM field_requirement everyones WHERE org_id = $1
UNION ALL
SELECT 'payer', row_to_json(payers)::text
FROM payer_requirement payers WHERE org_id = $1
UNION ALL
SELECT CASE WHEN payer_id IS NULL THEN 'org' ELSE 'org_payer' END, row_to_json(orgs)::text
FROM org_requirement_policy orgs WHERE org_id = $1

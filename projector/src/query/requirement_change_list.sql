-- Not `change`, which is one of its columns.
SELECT to_json(entry)::text
FROM requirement_changelog AS entry
WHERE ($1::uuid IS NULL OR org_id IN ($1, '00000000-0000-4000-8000-000000000001'))
  AND ($2::uuid IS NULL OR payer_id = $2 OR payer_id IS NULL)
  AND ($3::uuid IS NULL OR task_type_id = $3)
  AND ($4::text IS NULL OR field = $4)
  AND ($5::timestamptz IS NULL OR changed_at < $5)
ORDER BY changed_at DESC, event_id DESC
LIMIT $6

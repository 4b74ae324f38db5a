INSERT INTO naive_event (org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version, leaf_hash,
                         event_type, source, correlation_id, extensions, data)
VALUES ($1, $2, $3, $4, $5, now(), 1, decode(repeat('00', 32), 'hex'), $6, $7, $8, $9::json, $10::json)
ON CONFLICT (org_id, event_id) DO NOTHING

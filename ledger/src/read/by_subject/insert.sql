INSERT INTO pg_temp.runledger_archived_event
    (org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version, leaf_hash,
     event_type, source, correlation_id, causation_id, traceparent, extensions, data)
SELECT org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version, leaf_hash,
       event_type, source, correlation_id, causation_id, traceparent, extensions::json, data::json
FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::smallint[], $8::bytea[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
    AS row (org_id, event_id, subject_id, seq, occurred_at, recorded_at, schema_version, leaf_hash,
            event_type, source, correlation_id, causation_id, traceparent, extensions, data)

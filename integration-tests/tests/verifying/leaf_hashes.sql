-- SHA-256(0x00 ‖ leaf). The …send functions give PostgreSQL's binary formats, which are big-endian.
WITH packed AS (
    SELECT seq, org_id, event_id, subject_id, schema_version, extensions, data,
           int8send((extract(epoch FROM occurred_at) * 1000000)::bigint) AS occurred_at,
           int8send((extract(epoch FROM recorded_at) * 1000000)::bigint) AS recorded_at,
           -- A length of 16 bits is the lower half of one of 32.
           (SELECT string_agg(CASE WHEN text IS NULL THEN '\xFFFF'::bytea
                                   ELSE substring(int4send(octet_length(text)) FROM 3) || convert_to(text, 'UTF8') END,
                              ''::bytea ORDER BY position)
            FROM unnest(ARRAY[event_type, source, correlation_id, causation_id, traceparent]) WITH ORDINALITY AS t (text, position)
           ) AS texts
    FROM ledger.event WHERE org_id = $1
)
SELECT sha256('\x00'::bytea
              || '\x01'::bytea || uuid_send(org_id) || int8send(seq) || uuid_send(event_id) || uuid_send(subject_id)
              || occurred_at || recorded_at || int2send(schema_version)
              || texts
              || CASE WHEN extensions IS NULL THEN decode(repeat('00', 32), 'hex') ELSE sha256(convert_to(extensions::text, 'UTF8')) END
              || sha256(convert_to(data::text, 'UTF8')))
FROM packed ORDER BY seq

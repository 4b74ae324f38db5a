-- Idempotent by the place in the stream. The second half looks at what stood there before, for the
-- case that the place was given to two messages: `stands` says whether ours is the one that is kept.
WITH inserted AS (
    INSERT INTO ledger.dead_letter (org_id, code, reason, subject, headers, payload, stream, stream_created_at, stream_seq, received_at)
    VALUES ($1, $2, $3, $4, $5::text::json, $6, $7, $8, $9, $10)
    ON CONFLICT (stream, stream_created_at, stream_seq) DO NOTHING
    RETURNING dead_letter_id
)
SELECT EXISTS (SELECT FROM inserted)
    OR EXISTS (
        SELECT FROM ledger.dead_letter
        WHERE stream = $7 AND stream_created_at = $8 AND stream_seq = $9 AND received_at = $10
    ) AS "stands!"

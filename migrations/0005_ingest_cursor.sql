-- How far a partition of the stream has been read. It moves in the transaction that appends what was
-- read. A stream that was deleted and made anew has another creation time, and so another row.
CREATE TABLE ledger.ingest_cursor (
    stream text NOT NULL,
    stream_created_at timestamptz NOT NULL,
    partition int NOT NULL,
    stream_seq bigint NOT NULL,
    -- The server's timestamp of the message at stream_seq: a server that lost its last messages in a
    -- power cut hands the number out again, with another timestamp.
    message_at timestamptz,
    -- Up to here the ledger itself has removed messages from the stream.
    trimmed_seq bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, stream_created_at, partition)
);
GRANT SELECT, INSERT, UPDATE ON ledger.ingest_cursor TO runledger_ledger;
GRANT SELECT ON ledger.ingest_cursor TO runledger_admin;

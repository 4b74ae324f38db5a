CREATE TABLE IF NOT EXISTS runledger_outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    message_id text NOT NULL,
    -- The event in structured mode.
    message text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    -- Why the stream will never take it; set it to null to have it tried again.
    refused text
);

-- How many events were added about each subject: the CloudEvents extension `sequence`.
CREATE TABLE IF NOT EXISTS runledger_outbox_sequence (
    org_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    source text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (org_id, subject_id, source)
);

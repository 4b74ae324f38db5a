-- What could not be appended, byte for byte, with the reason.
CREATE TABLE ledger.dead_letter (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id uuid,
    code text NOT NULL,
    reason text NOT NULL,
    subject text NOT NULL,
    headers json NOT NULL,
    payload bytea NOT NULL,
    stream text NOT NULL,
    stream_created_at timestamptz NOT NULL,
    stream_seq bigint NOT NULL,
    received_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'discarded')),
    attempts int NOT NULL DEFAULT 1,
    last_attempt_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (stream, stream_created_at, stream_seq)
);
CREATE INDEX dead_letter_open ON ledger.dead_letter (code, org_id, dead_letter_id) WHERE state = 'open';

SELECT ledger.protect_by_org('ledger.dead_letter', 'runledger_ledger', readable_by_tenant => false);
GRANT SELECT, INSERT, UPDATE ON ledger.dead_letter TO runledger_ledger;

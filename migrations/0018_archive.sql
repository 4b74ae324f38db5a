-- Which events of an org stand in archive files, a row a file. The files of an org follow each other
-- without a gap, from seq 1 on; `frontier` and `root` are those of the tree after the file's last event.
-- Once dropped_at is set, the file is the only place that holds the events: ledger.event begins behind it.
CREATE TABLE ledger.archive (
    org_id uuid NOT NULL,
    first_seq bigint NOT NULL CHECK (first_seq > 0),
    last_seq bigint NOT NULL CHECK (last_seq >= first_seq),
    -- An absolute URL: whoever reads the events must reach it.
    location text NOT NULL,
    bytes bigint NOT NULL,
    frontier bytea[] NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    archived_at timestamptz NOT NULL DEFAULT now(),
    dropped_at timestamptz,
    PRIMARY KEY (org_id, first_seq)
);
-- The policy lets the owner write, who is a member of the role; the role itself is not granted it.
SELECT ledger.protect_by_org('ledger.archive', 'runledger_ledger', readable_by_tenant => true);
GRANT SELECT ON ledger.archive TO runledger_ledger;

CREATE POLICY projector ON ledger.archive FOR SELECT TO runledger_projector USING (true);
GRANT SELECT ON ledger.archive TO runledger_projector;

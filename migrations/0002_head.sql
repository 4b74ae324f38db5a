-- One row an org: how far its ledger goes and the Merkle tree over it. Appending locks it, which is
-- what makes seq gapless and visible in order.
CREATE TABLE ledger.head (
    org_id uuid PRIMARY KEY,
    size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    -- Roots of the perfect subtrees, largest first (RFC 6962).
    frontier bytea[] NOT NULL DEFAULT '{}',
    root bytea NOT NULL DEFAULT sha256('') CHECK (octet_length(root) = 32),
    -- The recorded_at of the last event, which the next one may not precede.
    updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT ledger.protect_by_org('ledger.head', 'runledger_ledger', readable_by_tenant => true);
GRANT SELECT, INSERT, UPDATE ON ledger.head TO runledger_ledger;

CREATE POLICY projector ON ledger.head FOR SELECT TO runledger_projector USING (true);
GRANT SELECT ON ledger.head TO runledger_projector;

-- How far a projection's version has folded an org's events. Small and apart from the data, because
-- projectors claim orgs by locking its rows.
CREATE TABLE ledger.checkpoint (
    projection text NOT NULL,
    version int NOT NULL,
    org_id uuid NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version, org_id)
) WITH (fillfactor = 50);
SELECT ledger.protect_by_org('ledger.checkpoint', 'runledger_projector', readable_by_tenant => false);
GRANT SELECT, INSERT, UPDATE ON ledger.checkpoint TO runledger_projector;

-- Events that a version's fold could not take. The row they belong to is the fold of the others.
CREATE TABLE ledger.parked (
    projection text NOT NULL,
    version int NOT NULL,
    org_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    seq bigint NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version, org_id, seq)
);
SELECT ledger.protect_by_org('ledger.parked', 'runledger_projector', readable_by_tenant => false);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.parked TO runledger_projector;

-- What stays of an event that only the archive holds: enough to know its id again and to tell the same
-- content from another (content_hash), to verify the tree (leaf_hash) and to find the events of a subject.
CREATE TABLE ledger.archived_event (
    org_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    -- Of the families run and step, and no correction: then there is a run, the subject.
    is_of_run boolean NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    PRIMARY KEY (org_id, seq),
    UNIQUE (org_id, event_id)
);
CREATE INDEX archived_event_subject ON ledger.archived_event (org_id, subject_id, seq);

-- As for ledger.archive: the owner writes.
SELECT ledger.protect_by_org('ledger.archived_event', 'runledger_ledger', readable_by_tenant => true);
GRANT SELECT ON ledger.archived_event TO runledger_ledger;

CREATE POLICY projector ON ledger.archived_event FOR SELECT TO runledger_projector USING (true);
GRANT SELECT ON ledger.archived_event TO runledger_projector;

-- It says now whose trigger it is.
CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% is immutable: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Append an event that corrects the earlier one.';
END $$;

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON ledger.archived_event
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.archived_event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE ledger.archived_event ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE ledger.archived_event ENABLE ALWAYS TRIGGER refuse_truncate;

-- And of the few that an import brought, or that take a run back, what `import` and `runs retract` ask of them.
CREATE TABLE ledger.archived_provenance (
    org_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    seq bigint NOT NULL,
    event_type text NOT NULL,
    source text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    import_id text,
    PRIMARY KEY (org_id, seq)
);
CREATE INDEX archived_provenance_import ON ledger.archived_provenance (org_id, import_id, seq)
    WHERE octet_length(import_id) <= 512;
CREATE INDEX archived_provenance_correction ON ledger.archived_provenance (org_id, subject_id, occurred_at, event_id)
    WHERE event_type IN ('run.retracted', 'run.reinstated');
SELECT ledger.protect_by_org('ledger.archived_provenance', 'runledger_ledger', readable_by_tenant => true);

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON ledger.archived_provenance
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.archived_provenance
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE ledger.archived_provenance ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE ledger.archived_provenance ENABLE ALWAYS TRIGGER refuse_truncate;

-- Where events came from and what was taken back, wherever the events stand. While they are being dropped both
-- tables have them, and the event table's count.
CREATE VIEW ledger.provenance WITH (security_invoker = true) AS
SELECT org_id, event_id, subject_id, seq, event_type, source, occurred_at, recorded_at, extensions->>'importid' AS import_id
FROM ledger.event
UNION ALL
SELECT org_id, event_id, subject_id, seq, event_type, source, occurred_at, recorded_at, import_id
FROM ledger.archived_provenance AS archived
WHERE EXISTS (SELECT FROM ledger.archive
              WHERE archive.org_id = archived.org_id AND archived.seq BETWEEN first_seq AND last_seq AND dropped_at IS NOT NULL);
GRANT SELECT ON ledger.provenance TO runledger_admin, runledger_reader;

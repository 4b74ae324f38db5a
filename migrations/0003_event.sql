-- The truth: every event of every org, one partition an org, never changed.
-- Fixed-width columns stand first, so that no row carries padding.
CREATE TABLE ledger.event (
    org_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    schema_version smallint NOT NULL CHECK (schema_version > 0),
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    event_type text NOT NULL,
    source text NOT NULL,
    correlation_id text,
    causation_id text,
    traceparent text,
    -- json, not jsonb: the bytes are hashed and returned as they were sent.
    extensions json,
    data json COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (org_id, seq),
    UNIQUE (org_id, event_id)
) PARTITION BY LIST (org_id);
CREATE INDEX event_subject ON ledger.event (org_id, subject_id, seq);

SELECT ledger.protect_by_org('ledger.event', 'runledger_ledger', readable_by_tenant => true);
GRANT SELECT, INSERT ON ledger.event TO runledger_ledger;

CREATE POLICY projector ON ledger.event FOR SELECT TO runledger_projector USING (true);
GRANT SELECT ON ledger.event TO runledger_projector;

CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'ledger.event is immutable: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Append an event that corrects the earlier one.';
END $$;

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON ledger.event
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER refuse_truncate;

-- pgvector holds the embeddings of later read models; asking for it here makes a server without it
-- fail at the first migration and not at the tenth.
CREATE EXTENSION IF NOT EXISTS vector;

-- Roles belong to the whole server, so another database of it may have made them already, or be
-- making them at this moment.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['runledger_ledger', 'runledger_projector', 'runledger_reader', 'runledger_admin'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        -- The owner may act as any of them, so that one URL is enough for a small deployment.
        BEGIN
            IF NOT pg_has_role(current_user, role, 'SET') THEN
                EXECUTE format('GRANT %I TO CURRENT_USER', role);
            END IF;
        EXCEPTION WHEN unique_violation OR internal_error THEN
            NULL;
        END;
    END LOOP;
END $$;

CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO runledger_ledger, runledger_projector, runledger_reader, runledger_admin;
GRANT USAGE ON SCHEMA public TO runledger_ledger, runledger_projector, runledger_reader, runledger_admin;

-- Whose data this transaction reads; null, and so nobody's, when it has not said.
CREATE FUNCTION ledger.current_org() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('runledger.org_id', true), '')::uuid;

-- One place for the row-level security of a table that holds rows of orgs. `writer` is the one
-- service role that may change them. Partitions get the flags and no policy: nobody goes to them directly.
CREATE FUNCTION ledger.protect_by_org(target regclass, writer name, readable_by_tenant boolean, holds_shared_rows boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY service ON %s TO %I USING (true) WITH CHECK (true)', target, writer);
    EXECUTE format('CREATE POLICY across_orgs ON %s FOR SELECT TO runledger_admin USING (true)', target);
    EXECUTE format('GRANT SELECT ON %s TO runledger_admin', target);
    IF readable_by_tenant THEN
        EXECUTE format(
            'CREATE POLICY tenant ON %s FOR SELECT TO runledger_reader USING (org_id = (SELECT ledger.current_org())%s)',
            target,
            CASE WHEN holds_shared_rows THEN ' OR (SELECT ledger.current_org()) IS NOT NULL AND org_id = ''00000000-0000-4000-8000-000000000001''' ELSE '' END);
        EXECUTE format('GRANT SELECT ON %s TO runledger_reader', target);
    END IF;
END $$;
REVOKE ALL ON FUNCTION ledger.protect_by_org FROM PUBLIC;

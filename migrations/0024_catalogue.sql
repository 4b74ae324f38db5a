-- What runs work with: kinds of portals, their endpoints, kinds of tasks. The shared org's are everyone's to read.
CREATE TABLE public.portal_type (
    org_id uuid NOT NULL,
    portal_type_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    channel_type text,
    base_url text,
    settings jsonb NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, portal_type_id)
);

CREATE TABLE public.integration_endpoint (
    org_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    name text NOT NULL,
    portal_type_id uuid,
    channel_type text,
    auth_type text,
    base_url text,
    settings jsonb NOT NULL,
    -- The name of a secret in a secrets manager.
    secret_ref text,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, endpoint_id)
);
CREATE INDEX integration_endpoint_portal_type ON public.integration_endpoint (org_id, portal_type_id);

CREATE TABLE public.task_type (
    org_id uuid NOT NULL,
    task_type_id uuid NOT NULL,
    domain text NOT NULL,
    action text NOT NULL,
    display_name text NOT NULL,
    description text,
    x12_transaction text,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, task_type_id)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['portal_type', 'integration_endpoint', 'task_type'] LOOP
        PERFORM ledger.protect_by_org(format('public.%I', name), 'runledger_projector', readable_by_tenant => true, holds_shared_rows => true);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO runledger_projector', name);
        INSERT INTO ledger.read_model (table_name, projection) VALUES (name, name);
    END LOOP;
END $$;

-- Workflows: the head of each, the nodes and transitions of its current revision, and every revision as it was sent.
CREATE TABLE public.user_workflow (
    org_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    -- The greatest there is: the current one.
    revision int NOT NULL,
    status text NOT NULL,
    revision_count int NOT NULL,
    node_count int NOT NULL,
    transition_count int NOT NULL,
    archived_at timestamptz,
    archived_by uuid,
    archive_reason text,
    flags text[] NOT NULL DEFAULT '{}',
    created_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, workflow_id)
);
-- An operator who has a workflow's id and not its org.
CREATE INDEX user_workflow_id ON public.user_workflow (workflow_id);

CREATE TABLE public.user_workflow_node (
    org_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    node_id uuid NOT NULL,
    revision int NOT NULL,
    -- Its place among the nodes of the revision, from 0.
    position int NOT NULL,
    label text NOT NULL,
    kind text,
    metadata jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (org_id, workflow_id, node_id)
);

CREATE TABLE public.user_workflow_transition (
    org_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    -- Its place among the transitions of the revision, from 0: the same two nodes may have several.
    position int NOT NULL,
    revision int NOT NULL,
    from_node_id uuid NOT NULL,
    to_node_id uuid NOT NULL,
    condition jsonb,
    PRIMARY KEY (org_id, workflow_id, position)
);

CREATE TABLE public.workflow_revision (
    org_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    revision int NOT NULL,
    name text NOT NULL,
    description text,
    -- As they were sent, with whatever else the sender noted.
    nodes jsonb NOT NULL,
    transitions jsonb NOT NULL DEFAULT '[]',
    event_id uuid NOT NULL,
    flags text[] NOT NULL DEFAULT '{}',
    created_by uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, workflow_id, revision)
);

DO $$
DECLARE
    model text;
BEGIN
    FOREACH model IN ARRAY ARRAY['user_workflow', 'user_workflow_node', 'user_workflow_transition', 'workflow_revision'] LOOP
        PERFORM ledger.protect_by_org(format('public.%I', model), 'runledger_projector', readable_by_tenant => true);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO runledger_projector', model);
        INSERT INTO ledger.read_model (table_name, projection) VALUES (model, 'user_workflow');
    END LOOP;
END $$;

CREATE TABLE public.user_workflow_run (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    workflow_id uuid,
    workflow_revision int,
    parent_run_id uuid,
    status text NOT NULL,
    channel text,
    external_id text,
    started_at timestamptz,
    ended_at timestamptz,
    duration_ms bigint,
    context jsonb NOT NULL DEFAULT '{}',
    config_snapshot jsonb NOT NULL DEFAULT '{}',
    endpoints_used jsonb NOT NULL DEFAULT '[]',
    error_message text,
    error_details jsonb,
    flags text[] NOT NULL DEFAULT '{}',
    created_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    legacy_trace_id bigint,
    PRIMARY KEY (org_id, run_id)
);
-- Lists: newest first, of one status or of all.
CREATE INDEX user_workflow_run_created ON public.user_workflow_run (org_id, created_at, run_id);
CREATE INDEX user_workflow_run_status ON public.user_workflow_run (org_id, status, created_at, run_id);
CREATE INDEX user_workflow_run_external ON public.user_workflow_run (org_id, external_id) WHERE external_id IS NOT NULL;
-- An operator who has a run's id and not its org.
CREATE INDEX user_workflow_run_id ON public.user_workflow_run (run_id);

SELECT ledger.protect_by_org('public.user_workflow_run', 'runledger_projector', readable_by_tenant => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.user_workflow_run TO runledger_projector;

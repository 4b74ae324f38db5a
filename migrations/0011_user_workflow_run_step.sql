CREATE TABLE public.user_workflow_run_step (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    step_id uuid NOT NULL,
    node_id uuid,
    step_number int,
    status text NOT NULL,
    retry_count int NOT NULL DEFAULT 0,
    started_at timestamptz,
    ended_at timestamptz,
    duration_ms bigint,
    input_data jsonb,
    output_data jsonb,
    screenshots jsonb NOT NULL DEFAULT '[]',
    events jsonb NOT NULL DEFAULT '[]',
    error_message text,
    error_details jsonb,
    metadata jsonb NOT NULL DEFAULT '{}',
    flags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    legacy_step_id bigint,
    -- A step id is unique within its run only.
    PRIMARY KEY (org_id, run_id, step_id)
);
SELECT ledger.protect_by_org('public.user_workflow_run_step', 'runledger_projector', readable_by_tenant => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.user_workflow_run_step TO runledger_projector;

CREATE VIEW public.run_step WITH (security_invoker = true) AS
SELECT org_id, run_id, step_id, node_id, step_number, status, retry_count, started_at, ended_at, duration_ms, input_data,
       output_data, screenshots, events, error_message, error_details, metadata, flags, created_at, updated_at, legacy_step_id
FROM public.user_workflow_run_step;
GRANT SELECT ON public.run_step TO runledger_reader, runledger_projector, runledger_admin;

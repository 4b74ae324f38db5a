-- Batches with live totals, and their rows, each with the run that it caused.
CREATE TABLE public.batch_job (
    org_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    name text,
    status text NOT NULL,
    workflow_id uuid,
    workflow_revision int,
    external_id text,
    -- What the submitter announced; what came is `rows_total`.
    rows_expected int,
    rows_total int NOT NULL DEFAULT 0,
    rows_pending int NOT NULL DEFAULT 0,
    rows_running int NOT NULL DEFAULT 0,
    rows_completed int NOT NULL DEFAULT 0,
    rows_failed int NOT NULL DEFAULT 0,
    rows_skipped int NOT NULL DEFAULT 0,
    started_at timestamptz,
    ended_at timestamptz,
    duration_ms bigint,
    context jsonb NOT NULL DEFAULT '{}',
    error_message text,
    error_details jsonb,
    flags text[] NOT NULL DEFAULT '{}',
    submitted_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, batch_id)
);
-- Lists: newest first, of one status or of all.
CREATE INDEX batch_job_created ON public.batch_job (org_id, created_at, batch_id);
CREATE INDEX batch_job_status ON public.batch_job (org_id, status, created_at, batch_id);
-- An operator who has a batch's id and not its org.
CREATE INDEX batch_job_id ON public.batch_job (batch_id);

CREATE TABLE public.batch_row (
    org_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    row_id uuid NOT NULL,
    row_number int,
    status text NOT NULL,
    run_id uuid,
    external_id text,
    started_at timestamptz,
    ended_at timestamptz,
    duration_ms bigint,
    error_message text,
    error_details jsonb,
    flags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- A row id is unique within its batch only.
    PRIMARY KEY (org_id, batch_id, row_id)
);
CREATE INDEX batch_row_number ON public.batch_row (org_id, batch_id, row_number, row_id);
-- From a run to the row that caused it.
CREATE INDEX batch_row_run ON public.batch_row (org_id, run_id) WHERE run_id IS NOT NULL;

DO $$
DECLARE
    model text;
BEGIN
    FOREACH model IN ARRAY ARRAY['batch_job', 'batch_row'] LOOP
        PERFORM ledger.protect_by_org(format('public.%I', model), 'runledger_projector', readable_by_tenant => true);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO runledger_projector', model);
        INSERT INTO ledger.read_model (table_name, projection) VALUES (model, 'batch_job');
    END LOOP;
END $$;

-- What readers of the old tables go on with: the read models under the old names, with the old ids where there
-- are any. A database that still has the old tables in `public` keeps them: nothing is done before they are moved.
DO $$
DECLARE
    moves text;
BEGIN
    SELECT string_agg(format('ALTER TABLE public.%I SET SCHEMA legacy', relname), '; ' ORDER BY relname) INTO moves
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname IN ('workflow_trace', 'workflow_steps', 'rcm_trace', 'rcm_user');
    IF moves IS NOT NULL THEN
        RAISE EXCEPTION 'the schema public has tables of its own where views for old readers are to stand; move them, then run `runledger migrate` again: CREATE SCHEMA IF NOT EXISTS legacy; %', moves
            USING ERRCODE = 'duplicate_table';
    END IF;
END $$;

-- Rows by their old ids. Most rows of a deployment that was never migrated have none.
CREATE INDEX user_workflow_run_legacy ON public.user_workflow_run (org_id, legacy_trace_id) WHERE legacy_trace_id IS NOT NULL;
CREATE INDEX user_workflow_run_step_legacy ON public.user_workflow_run_step (org_id, legacy_step_id) WHERE legacy_step_id IS NOT NULL;

CREATE VIEW public.workflow_trace WITH (security_invoker = true) AS
SELECT legacy_trace_id AS trace_id, org_id, workflow_id, created_by AS user_id, status, channel, external_id,
    started_at AS start_time, ended_at AS end_time, duration_ms, error_message, config_snapshot, context, created_at, updated_at,
    run_id
FROM public.user_workflow_run;

-- The same under the name of its older alias, whose id is called after it.
CREATE VIEW public.rcm_trace WITH (security_invoker = true) AS
SELECT legacy_trace_id AS rcm_trace_id, org_id, workflow_id, created_by AS user_id, status, channel, external_id,
    started_at AS start_time, ended_at AS end_time, duration_ms, error_message, config_snapshot, context, created_at, updated_at,
    run_id
FROM public.user_workflow_run;

-- LEFT: who does not ask for trace_id does not pay for it; who asks by it has the run looked up first.
CREATE VIEW public.workflow_steps WITH (security_invoker = true) AS
SELECT step.legacy_step_id AS step_id, run.legacy_trace_id AS trace_id, step.org_id, step.run_id, step.step_id AS step_uuid,
    step.node_id, step.step_number,
    coalesce(step.metadata->>'step_name', step.metadata->>'label', step.metadata->>'name', step.metadata->>'activity') AS step_name,
    step.status, step.retry_count, step.started_at AS start_time, step.ended_at AS end_time, step.duration_ms, step.input_data,
    step.output_data, step.error_message, step.created_at, step.updated_at
FROM public.user_workflow_run_step AS step
LEFT JOIN public.user_workflow_run AS run ON run.org_id = step.org_id AND run.run_id = step.run_id;

CREATE VIEW public.rcm_user WITH (security_invoker = true) AS
SELECT user_id, org_id, email, display_name, coalesce(display_name, email) AS name, roles, status = 'active' AS is_active,
    created_at, updated_at
FROM public.app_user;

GRANT SELECT ON public.workflow_trace, public.rcm_trace, public.workflow_steps, public.rcm_user TO runledger_reader, runledger_admin;

-- PostgreSQL would let the owner write through three of them into the read models. What once wrote the old tables often
-- is the owner, and is to hear of it.
CREATE FUNCTION ledger.refuse_write() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% is a view for readers, of what events have made: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Publish events instead.';
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['workflow_trace', 'rcm_trace', 'workflow_steps', 'rcm_user'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_write INSTEAD OF INSERT OR UPDATE OR DELETE ON public.%I FOR EACH ROW EXECUTE FUNCTION ledger.refuse_write()', name);
    END LOOP;
END $$;

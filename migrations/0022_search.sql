-- Pages of runs by any filter, and runs by what their context says, read as a tenant.
CREATE INDEX user_workflow_run_channel ON public.user_workflow_run (org_id, channel, created_at, run_id) WHERE channel IS NOT NULL;
CREATE INDEX user_workflow_run_workflow ON public.user_workflow_run (org_id, workflow_id, created_at, run_id) WHERE workflow_id IS NOT NULL;
-- Few runs have flags: those of a frequent one, newest first.
CREATE INDEX user_workflow_run_flagged ON public.user_workflow_run (org_id, created_at, run_id) WHERE flags <> '{}';

CREATE EXTENSION IF NOT EXISTS btree_gin;
-- Without a list of pending entries: it would be read by every search, and emptied in the middle of somebody's commit.
CREATE INDEX user_workflow_run_context ON public.user_workflow_run USING gin (org_id, context jsonb_path_ops) WITH (fastupdate = off);

CREATE INDEX user_workflow_run_flag ON public.user_workflow_run USING gin (org_id, flags) WITH (fastupdate = off) WHERE flags <> '{}';

-- `@>` is not leakproof, so row-level security keeps the tenant's own queries off these two: asked directly,
-- they would read every run of the org. This function asks as the owner, for the transaction's org alone, and
-- answers with ids, whose rows the tenant then reads under its policy.
CREATE POLICY search ON public.user_workflow_run FOR SELECT TO CURRENT_USER USING (true);

-- The runs of the transaction's org whose context contains `wanted` and that have the flag, either of which may
-- be null; null if they are frequent among the newest (of those with flags) or more than `runs_max`, or if the
-- transaction has no org. A page of frequent ones is found sooner by looking through the newest.
CREATE FUNCTION ledger.few_runs(wanted jsonb, flag text, runs_max int) RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
DECLARE
    org uuid := ledger.current_org();
    found uuid[];
BEGIN
    -- Who reads across orgs does, whatever org a session has left.
    IF org IS NULL OR 'runledger_admin' IN (current_setting('role', true), session_user) THEN
        RETURN NULL;
    END IF;
    IF 25 <= (
        SELECT count(*) FROM (
            SELECT context, flags FROM public.user_workflow_run
            WHERE org_id = org AND (flag IS NULL OR flags <> '{}')
            ORDER BY created_at DESC, run_id DESC LIMIT 500) AS newest
        WHERE (wanted IS NULL OR context @> wanted) AND (flag IS NULL OR flags @> ARRAY[flag])) THEN
        RETURN NULL;
    END IF;
    found := ARRAY(
        SELECT run_id FROM public.user_workflow_run
        WHERE org_id = org AND (wanted IS NULL OR context @> wanted) AND (flag IS NULL OR flags @> ARRAY[flag] AND flags <> '{}')
        LIMIT runs_max + 1);
    RETURN CASE WHEN cardinality(found) <= runs_max THEN found END;
END $$;
REVOKE ALL ON FUNCTION ledger.few_runs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.few_runs TO runledger_reader, runledger_admin;

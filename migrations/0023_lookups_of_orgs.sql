-- Lookup tables become read models: of `lookup.value_added`, each row an org's. What stands in them now is the
-- shared org's, and stays as it is until its events are folded: `migrate` and the ledger publish them. Dropping a
-- row that no event tells of is left to a rebuild.
DO $$
DECLARE
    lookup text;
BEGIN
    FOREACH lookup IN ARRAY ARRAY['channel_auth_type_lu', 'channel_type_lu', 'job_status_lu', 'org_type_lu', 'task_action_lu',
        'task_domain_lu', 'workflow_status_lu'] LOOP
        IF to_regclass(format('public.%I', lookup)) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE public.%I RENAME TO without_org', lookup);
        END IF;
        EXECUTE format(
            'CREATE TABLE public.%I (
                org_id uuid NOT NULL,
                code text NOT NULL,
                label text NOT NULL,
                sort int NOT NULL,
                created_at timestamptz NOT NULL,
                updated_at timestamptz NOT NULL
            )', lookup);
        IF to_regclass('public.without_org') IS NOT NULL THEN
            EXECUTE format(
                'INSERT INTO public.%I SELECT ''00000000-0000-4000-8000-000000000001'', code, label, sort, ''2020-01-01Z'', ''2020-01-01Z''
                 FROM public.without_org', lookup);
            DROP TABLE public.without_org;
        END IF;
        EXECUTE format('ALTER TABLE public.%I ADD PRIMARY KEY (org_id, code)', lookup);
        PERFORM ledger.protect_by_org(format('public.%I', lookup), 'runledger_projector', readable_by_tenant => true, holds_shared_rows => true);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO runledger_projector', lookup);
        INSERT INTO ledger.read_model (table_name, projection) VALUES (lookup, 'lookup');
    END LOOP;
END $$;

-- Closed sets as rows: a new value is an INSERT, never a change of type.
DO $$
DECLARE
    lookup text;
BEGIN
    FOREACH lookup IN ARRAY ARRAY['workflow_status_lu', 'job_status_lu', 'org_type_lu', 'channel_type_lu'] LOOP
        EXECUTE format('CREATE TABLE public.%I (code text PRIMARY KEY, label text NOT NULL, sort int NOT NULL)', lookup);
        EXECUTE format('GRANT SELECT ON public.%I TO runledger_ledger, runledger_projector, runledger_reader, runledger_admin', lookup);
    END LOOP;
END $$;

INSERT INTO public.workflow_status_lu VALUES
    ('pending', 'Pending', 1), ('running', 'Running', 2), ('completed', 'Completed', 3),
    ('failed', 'Failed', 4), ('cancelled', 'Cancelled', 5), ('timeout', 'Timed out', 6);
INSERT INTO public.job_status_lu VALUES
    ('pending', 'Pending', 1), ('running', 'Running', 2), ('completed', 'Completed', 3),
    ('failed', 'Failed', 4), ('skipped', 'Skipped', 5);
INSERT INTO public.org_type_lu VALUES
    ('hospital', 'Hospital', 1), ('physician_group', 'Physician group', 2), ('billing_company', 'Billing company', 3),
    ('laboratory', 'Laboratory', 4), ('payer', 'Payer', 5), ('other', 'Other', 6);
INSERT INTO public.channel_type_lu VALUES
    ('web', 'Web portal', 1), ('voice', 'Telephone', 2), ('efax', 'Electronic fax', 3);

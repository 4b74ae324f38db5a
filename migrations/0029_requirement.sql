-- What has to be known of which field for a kind of task: everyone's, payers', and what orgs decide; and every change.
-- A database that still has the old table of this name in `public` keeps it: nothing is done before it is moved.
DO $$
BEGIN
    IF to_regclass('public.field_requirement') IS NOT NULL THEN
        RAISE EXCEPTION 'the schema public has a table field_requirement of its own where that of runledger is to stand; move it, then run `runledger migrate` again: CREATE SCHEMA IF NOT EXISTS legacy; ALTER TABLE public.field_requirement SET SCHEMA legacy'
            USING ERRCODE = 'duplicate_table';
    END IF;
END $$;

CREATE TABLE public.field_requirement (
    org_id uuid NOT NULL,
    task_type_id uuid NOT NULL,
    field text NOT NULL,
    level text,
    -- JSON Logic, of the level `conditional`.
    rule jsonb,
    validation jsonb,
    help_text text,
    -- `active`, or `withdrawn`: then nothing is set.
    status text NOT NULL,
    version int NOT NULL,
    reason text,
    changed_by uuid,
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, task_type_id, field)
);

CREATE TABLE public.payer_requirement (
    org_id uuid NOT NULL,
    payer_id uuid NOT NULL,
    task_type_id uuid NOT NULL,
    field text NOT NULL,
    level text,
    rule jsonb,
    validation jsonb,
    help_text text,
    status text NOT NULL,
    version int NOT NULL,
    reason text,
    changed_by uuid,
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, payer_id, task_type_id, field)
);

CREATE TABLE public.org_requirement_policy (
    org_id uuid NOT NULL,
    -- Null: for all payers.
    payer_id uuid,
    task_type_id uuid NOT NULL,
    field text NOT NULL,
    action text,
    -- `waived` where the action is `waive`.
    level text,
    rule jsonb,
    validation jsonb,
    help_text text,
    status text NOT NULL,
    version int NOT NULL,
    reason text,
    changed_by uuid,
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- A primary key has no nulls.
    payer_key uuid NOT NULL GENERATED ALWAYS AS (coalesce(payer_id, '00000000-0000-0000-0000-000000000000')) STORED,
    PRIMARY KEY (org_id, payer_key, task_type_id, field)
);

CREATE TABLE public.requirement_changelog (
    org_id uuid NOT NULL,
    event_id uuid NOT NULL,
    -- `global`, `payer`, `org`, or `org_payer`: an org's for one payer.
    tier text NOT NULL,
    payer_id uuid,
    task_type_id uuid NOT NULL,
    field text NOT NULL,
    -- Of the requirement, from 1 in the order of (changed_at, event_id).
    version int NOT NULL,
    -- `set` or `withdrawn`.
    change text NOT NULL,
    -- What was set until then and from then on; null: nothing.
    before jsonb,
    after jsonb,
    reason text,
    changed_by uuid,
    changed_at timestamptz NOT NULL,
    -- When the next change of the requirement was; null: it is in force.
    superseded_at timestamptz,
    PRIMARY KEY (org_id, event_id)
);
-- What was in force at a time, for a kind of task and a payer.
CREATE INDEX requirement_changelog_scope ON public.requirement_changelog (org_id, task_type_id, payer_id, changed_at);

DO $$
DECLARE
    model text;
BEGIN
    FOREACH model IN ARRAY ARRAY['field_requirement', 'payer_requirement', 'requirement_changelog'] LOOP
        PERFORM ledger.protect_by_org(format('public.%I', model), 'runledger_projector', readable_by_tenant => true, holds_shared_rows => true);
    END LOOP;
    PERFORM ledger.protect_by_org('public.org_requirement_policy', 'runledger_projector', readable_by_tenant => true);
    FOREACH model IN ARRAY ARRAY['field_requirement', 'payer_requirement', 'org_requirement_policy', 'requirement_changelog'] LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO runledger_projector', model);
        INSERT INTO ledger.read_model (table_name, projection) VALUES (model, 'field_requirement');
    END LOOP;
END $$;

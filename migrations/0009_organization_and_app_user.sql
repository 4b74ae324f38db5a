CREATE TABLE public.organization (
    org_id uuid PRIMARY KEY,
    name text NOT NULL,
    org_type text,
    settings jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
SELECT ledger.protect_by_org('public.organization', 'runledger_projector', readable_by_tenant => true, holds_shared_rows => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.organization TO runledger_projector;

CREATE TABLE public.app_user (
    org_id uuid NOT NULL,
    user_id uuid NOT NULL,
    email text NOT NULL,
    display_name text,
    roles text[] NOT NULL DEFAULT '{}',
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
SELECT ledger.protect_by_org('public.app_user', 'runledger_projector', readable_by_tenant => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.app_user TO runledger_projector;

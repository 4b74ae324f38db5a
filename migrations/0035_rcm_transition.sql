-- How often services came from a screen to another by an action.
CREATE TABLE public.rcm_transition (
    org_id uuid NOT NULL,
    from_state uuid NOT NULL,
    action text NOT NULL,
    to_state uuid NOT NULL,
    count bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    flags text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (org_id, from_state, action, to_state)
) WITH (fillfactor = 80);

SELECT ledger.protect_by_org('public.rcm_transition', 'runledger_projector', readable_by_tenant => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.rcm_transition TO runledger_projector;
INSERT INTO ledger.read_model (table_name, projection) VALUES ('rcm_transition', 'rcm_transition');

-- The same from kind of screen to kind of screen. A view, because a screen can come to belong to another kind at any time, by
-- a label or a definition, and all of its transitions with it.
CREATE VIEW public.rcm_macro_transition WITH (security_invoker = true) AS
SELECT transition.org_id, source.macro_state_id AS from_state, transition.action, target.macro_state_id AS to_state,
       sum(transition.count)::bigint AS count,
       min(transition.first_seen_at) AS first_seen_at, max(transition.last_seen_at) AS last_seen_at
FROM public.rcm_transition AS transition
JOIN public.macro_state_member AS source
    ON source.org_id = transition.org_id AND source.micro_state_id = transition.from_state
JOIN public.macro_state_member AS target
    ON target.org_id = transition.org_id AND target.micro_state_id = transition.to_state
GROUP BY transition.org_id, source.macro_state_id, transition.action, target.macro_state_id;
GRANT SELECT ON public.rcm_macro_transition TO runledger_reader, runledger_admin;

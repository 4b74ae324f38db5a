-- Kinds of screens: what people have defined, what they have labelled alike, and what looks alike. They are learnt in the order in
-- which the events of an org were appended.
CREATE TABLE public.macro_state (
    org_id uuid NOT NULL,
    macro_state_id uuid NOT NULL,
    -- `defined`: somebody defined it. `label`: screens of this label. `cluster`: screens that look alike.
    origin text NOT NULL,
    name text,
    description text,
    portal_type text,
    label text,
    defined_by uuid,
    -- How many micro-states belong to it, and how often these were observed.
    micro_states int NOT NULL,
    observed_count bigint NOT NULL,
    -- The micro-state of it that was seen first.
    example_id uuid,
    first_seen_at timestamptz,
    last_seen_at timestamptz,
    flags text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (org_id, macro_state_id)
);
CREATE INDEX macro_state_label ON public.macro_state (org_id, label) WHERE label IS NOT NULL;

-- Which macro-state each micro-state belongs to.
CREATE TABLE public.macro_state_member (
    org_id uuid NOT NULL,
    micro_state_id uuid NOT NULL,
    macro_state_id uuid NOT NULL,
    -- `defined`, `label`, `cluster`; `cluster_label`: most of the labelled screens that look like it have this label.
    via text NOT NULL,
    -- What it looks like, whether that decides or not; null: it has no embedding, or was not seen yet.
    cluster_id uuid,
    flags text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (org_id, micro_state_id)
);
CREATE INDEX macro_state_member_macro_state ON public.macro_state_member (org_id, macro_state_id);

SELECT ledger.protect_by_org('public.macro_state', 'runledger_projector', readable_by_tenant => true);
SELECT ledger.protect_by_org('public.macro_state_member', 'runledger_projector', readable_by_tenant => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.macro_state, public.macro_state_member TO runledger_projector;
INSERT INTO ledger.read_model (table_name, projection)
VALUES ('macro_state', 'macro_state'), ('macro_state_member', 'macro_state');

-- Screens as services saw them, each with what is near it. Of the two kinds of column that hold embeddings, `halfvec` was
-- measured: its index is half as large, and recall the same.
CREATE TABLE public.micro_state (
    org_id uuid NOT NULL,
    micro_state_id uuid NOT NULL,
    -- Of the latest observation.
    run_id uuid,
    step_id uuid,
    node_id uuid,
    portal_type text,
    endpoint_id uuid,
    url text NOT NULL,
    title text NOT NULL,
    ui jsonb NOT NULL,
    screenshot jsonb,
    label text,
    labelled_by uuid,
    -- What is embedded of it, and the hash that it is known by.
    content_hash bytea NOT NULL,
    rendition text NOT NULL,
    -- Null: no embedding came with the event, and none is made.
    embedding_model text,
    text_embedding public.halfvec(768),
    image_embedding public.halfvec(512),
    observed_count int NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    flags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, micro_state_id)
    -- Most updates say that a screen was seen again: there is room for them beside the row, and no index has a column that
    -- they change. The workers of a parallel build of an HNSW index share their memory, of which containers have 64 MB.
) WITH (fillfactor = 75, parallel_workers = 0);
-- Beside the row as long as anything else can be moved out of it: an exact search of an org reads every one of them.
ALTER TABLE public.micro_state ALTER COLUMN text_embedding SET STORAGE MAIN;

CREATE INDEX micro_state_text_embedding ON public.micro_state USING hnsw (text_embedding public.halfvec_cosine_ops);
CREATE INDEX micro_state_image_embedding ON public.micro_state USING hnsw (image_embedding public.halfvec_cosine_ops);
CREATE INDEX micro_state_label ON public.micro_state (org_id, label) WHERE label IS NOT NULL;
CREATE INDEX micro_state_portal_type ON public.micro_state (org_id, portal_type) WHERE portal_type IS NOT NULL;
-- The same screen under several ids.
CREATE INDEX micro_state_content ON public.micro_state (org_id, content_hash);
-- An operator who has a screen's id and not its org.
CREATE INDEX micro_state_id ON public.micro_state (micro_state_id);

SELECT ledger.protect_by_org('public.micro_state', 'runledger_projector', readable_by_tenant => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.micro_state TO runledger_projector;
INSERT INTO ledger.read_model (table_name, projection) VALUES ('micro_state', 'micro_state');

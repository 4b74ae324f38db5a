-- Embeddings, each made once: the same for all orgs, because a text's embedding depends on the text alone. Read and
-- written by the projector only; no tenant can ask whether somebody else has seen a text.
CREATE TABLE ledger.embedding_cache (
    model text NOT NULL,
    -- SHA-256 of the text and of the rules that it was made by.
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    embedding public.vector(768),
    -- Why the embedder makes none of this text.
    refusal text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, content_hash),
    CHECK (num_nonnulls(embedding, refusal) = 1)
);
GRANT SELECT, INSERT, DELETE ON ledger.embedding_cache TO runledger_projector;
GRANT SELECT ON ledger.embedding_cache TO runledger_admin;

-- Whose embeddings the tables of a generation hold: of one model, or those that came with the events.
ALTER TABLE ledger.generation ADD COLUMN embedder text;

-- Notes the embedder of a generation if it has none yet. Says which one it has.
CREATE FUNCTION ledger.settle_embedder(of_projection text, of_generation int, wanted text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    settled text;
BEGIN
    SELECT embedder INTO settled FROM ledger.generation WHERE projection = of_projection AND generation = of_generation;
    IF settled IS NULL THEN
        UPDATE ledger.generation SET embedder = coalesce(embedder, wanted)
        WHERE projection = of_projection AND generation = of_generation RETURNING embedder INTO settled;
    END IF;
    RETURN settled;
END $$;
REVOKE ALL ON FUNCTION ledger.settle_embedder FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.settle_embedder TO runledger_projector;

-- Projections that wait for something outside of PostgreSQL, and for what.
CREATE TABLE ledger.projection_pause (
    projection text PRIMARY KEY,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    tried_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.projection_pause TO runledger_projector;
GRANT SELECT ON ledger.projection_pause TO runledger_admin;

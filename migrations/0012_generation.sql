-- A generation is one set of a projection's tables, made by one version of its fold. The schema is where
-- it stands: `public` serves, `rebuild` is being made, `replaced` served before and can be taken back.
-- Names of tables and indexes are the same in all three.
CREATE SCHEMA rebuild;
CREATE SCHEMA replaced;
GRANT USAGE ON SCHEMA rebuild, replaced TO runledger_projector, runledger_admin;

-- Which tables are whose. A migration that makes a read model adds it here; whatever is not here, the
-- functions that move and drop tables for the projector's role do not touch.
CREATE TABLE ledger.read_model (
    table_name text PRIMARY KEY,
    projection text NOT NULL
);
INSERT INTO ledger.read_model (table_name, projection) VALUES
    ('organization', 'organization'), ('app_user', 'app_user'),
    ('user_workflow_run', 'user_workflow_run'), ('user_workflow_run_step', 'user_workflow_run');
GRANT SELECT ON ledger.read_model TO runledger_projector, runledger_admin;

-- Never used twice: whoever still works on tables that were dropped must not be taken for their successor's maker.
CREATE SEQUENCE ledger.generation_number AS int START 2;

CREATE TABLE ledger.generation (
    projection text NOT NULL,
    generation int NOT NULL,
    version int NOT NULL,
    place text NOT NULL CHECK (place IN ('public', 'rebuild', 'replaced')),
    -- The version of runledger that has this version of the fold.
    made_by text NOT NULL,
    -- It holds a single org, mends that org's rows and never serves.
    is_partial boolean NOT NULL DEFAULT false,
    -- It served before and is about to do so again: what stands in `rebuild` was not made anew.
    is_staged boolean NOT NULL DEFAULT false,
    made_at timestamptz NOT NULL DEFAULT now(),
    -- When all rows were loaded, after which COPY cannot be used; and how many events that were in how long,
    -- by which the next rebuild is estimated.
    loaded_at timestamptz,
    loaded_events bigint,
    loaded_ms bigint,
    PRIMARY KEY (projection, generation),
    UNIQUE (projection, place)
);
GRANT SELECT ON ledger.generation TO runledger_projector, runledger_admin, runledger_reader;

-- Versions that somebody went back from: projectors do not rebuild with them by themselves.
CREATE TABLE ledger.undone_version (
    projection text NOT NULL,
    version int NOT NULL,
    undone_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version)
);
GRANT SELECT ON ledger.undone_version TO runledger_projector, runledger_admin;

-- What projectors with a version's fold keep up to date: the tables that serve if they are of that
-- version, else those that were replaced. Tables in the making are their rebuild's alone.
CREATE VIEW ledger.kept_generation WITH (security_invoker = true) AS
SELECT DISTINCT ON (projection, version) projection, version, generation, place, made_by
FROM ledger.generation WHERE place <> 'rebuild'
ORDER BY projection, version, place;
GRANT SELECT ON ledger.kept_generation TO runledger_projector, runledger_admin, runledger_reader;

-- Checkpoints and parked events belong to tables: a rebuild with the same fold begins anew while the old
-- tables go on.
ALTER TABLE ledger.checkpoint ADD COLUMN generation int NOT NULL DEFAULT 1;
ALTER TABLE ledger.checkpoint ALTER COLUMN generation DROP DEFAULT;
ALTER TABLE ledger.checkpoint DROP CONSTRAINT checkpoint_pkey, ADD PRIMARY KEY (projection, generation, org_id);
ALTER TABLE ledger.parked ADD COLUMN generation int NOT NULL DEFAULT 1;
ALTER TABLE ledger.parked ALTER COLUMN generation DROP DEFAULT;
ALTER TABLE ledger.parked DROP CONSTRAINT parked_pkey, ADD PRIMARY KEY (projection, generation, org_id, seq);

INSERT INTO ledger.generation (projection, generation, version, place, made_by)
SELECT projection, 1, max(version), 'public', '0.1.0' FROM ledger.checkpoint GROUP BY projection;
UPDATE ledger.generation SET loaded_at = made_at;

-- The first generation of a projection: the tables that its migration has made.
CREATE FUNCTION ledger.begin_projection(of_projection text, of_version int, by_version text)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO ledger.generation (projection, generation, version, place, made_by, loaded_at)
    SELECT of_projection, 1, of_version, 'public', by_version, now()
    WHERE EXISTS (SELECT FROM ledger.read_model WHERE projection = of_projection)
      AND NOT EXISTS (SELECT FROM ledger.generation WHERE projection = of_projection)
    ON CONFLICT DO NOTHING
$$;
REVOKE ALL ON FUNCTION ledger.begin_projection FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.begin_projection TO runledger_projector;

-- Locks what a swap exchanges, for as long as the transaction lasts: what nobody reads before what serves, and
-- views before tables, as readers do. The caller says how long to wait.
CREATE FUNCTION ledger.lock_for_swap(of_projection text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    locked text;
BEGIN
    SELECT string_agg(name, ', ' ORDER BY rank, name) INTO locked FROM (
        SELECT rank, format('%I.%I', place, t.name) AS name
        FROM ledger.tables_of(of_projection) AS t (name), (VALUES (1, 'replaced'), (2, 'rebuild'), (4, 'public')) AS p (rank, place)
        WHERE to_regclass(format('%I.%I', place, t.name)) IS NOT NULL
        UNION
        SELECT 3, v.oid::regclass::text FROM ledger.tables_of(of_projection) AS t (name), ledger.views_of(t.name) v
    ) AS it;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', locked);
END $$;

-- Waits for whatever works on the tables but does not read or write them, and makes an autovacuum give way.
CREATE FUNCTION ledger.wait_for_vacuum(of_projection text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
    EXECUTE (SELECT format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', string_agg(format('%I.%I', place, t.name), ', '))
             FROM ledger.tables_of(of_projection) AS t (name), unnest(ARRAY['replaced', 'rebuild', 'public']) AS place
             WHERE to_regclass(format('%I.%I', place, t.name)) IS NOT NULL);
END $$;

-- Lets the tables in `rebuild` serve and keeps those that served. The caller has stopped the projection
-- and locked the tables; this takes milliseconds. Views bind to tables and not to names, so those that
-- read a table are told to read the new one; their grants and what depends on them stay.
CREATE FUNCTION ledger.swap_generation(of_projection text, expected int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    incoming ledger.generation;
    outgoing ledger.generation;
    view record;
    statements text[] := '{}';
    statement text;
BEGIN
    SELECT * INTO STRICT incoming FROM ledger.generation
    WHERE projection = of_projection AND place = 'rebuild' AND generation = expected AND loaded_at IS NOT NULL AND NOT is_partial;
    SELECT * INTO STRICT outgoing FROM ledger.generation WHERE projection = of_projection AND place = 'public';
    PERFORM ledger.check_rebuildable(of_projection);
    FOR view IN SELECT DISTINCT v.* FROM ledger.tables_of(of_projection) AS t (name), ledger.views_of(t.name) v LOOP
        statements := statements || format('CREATE OR REPLACE VIEW %s %s AS %s', view.oid::regclass,
            'WITH (' || array_to_string(view.options, ', ') || ')', view.definition);
    END LOOP;
    PERFORM ledger.drop_generation(of_projection, 'replaced');
    PERFORM ledger.move_generation(of_projection, 'public', 'replaced');
    PERFORM ledger.move_generation(of_projection, 'rebuild', 'public');
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    IF incoming.is_staged AND incoming.version < outgoing.version THEN
        INSERT INTO ledger.undone_version (projection, version) VALUES (of_projection, outgoing.version) ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM ledger.undone_version WHERE projection = of_projection AND version = incoming.version;
    UPDATE ledger.generation SET is_staged = false WHERE projection = of_projection;
    -- Any projector may go on with them at once.
    UPDATE ledger.checkpoint SET updated_at = 'epoch'
    WHERE projection = of_projection AND generation = expected AND updated_at > now() - interval '1 minute';
END $$;

REVOKE ALL ON FUNCTION ledger.lock_for_swap, ledger.wait_for_vacuum, ledger.swap_generation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.lock_for_swap, ledger.wait_for_vacuum, ledger.swap_generation TO runledger_projector;

-- Tables in the making. The owner's functions, because the projector's role owns no table; they take
-- nothing but read models.

-- The tables of a projection, by name.
CREATE FUNCTION ledger.tables_of(of_projection text) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT table_name FROM ledger.read_model WHERE projection = of_projection ORDER BY table_name
$$;

-- The views that read a read model directly. Views of a session of its own stay behind at a swap.
CREATE FUNCTION ledger.views_of(of_table text)
RETURNS TABLE (oid oid, owner oid, options text[], definition text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT v.oid, v.relowner, v.reloptions, pg_get_viewdef(v.oid)
    FROM pg_class v
    WHERE v.relkind = 'v' AND v.relpersistence <> 't' AND EXISTS (
        SELECT FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(format('public.%I', of_table)) AND r.ev_class = v.oid)
$$;

-- Refuses what a swap could not take along: it takes views, and whatever is a table's own.
CREATE FUNCTION ledger.check_rebuildable(of_projection text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
    of_table pg_class;
    dependent text;
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.read_model WHERE projection = of_projection) THEN
        RAISE EXCEPTION '% is no projection that this database has read models of', of_projection USING HINT = 'Run `runledger migrate`.';
    END IF;
    FOR name IN SELECT ledger.tables_of(of_projection) LOOP
        SELECT * INTO STRICT of_table FROM pg_class WHERE oid = format('public.%I', name)::regclass;
        SELECT CASE v.relkind WHEN 'm' THEN 'materialized view ' || v.oid::regclass ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END
        INTO dependent
        FROM pg_depend d
            LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
            LEFT JOIN pg_class v ON v.oid = r.ev_class
            LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
            LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
            LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
            LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
        WHERE d.deptype = 'n'
          AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = of_table.oid
               OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (of_table.reltype, (SELECT typarray FROM pg_type WHERE pg_type.oid = of_table.reltype)))
          AND coalesce(v.relkind, '') <> 'v'
          AND coalesce(c.conrelid, p.polrelid, t.tgrelid, a.adrelid, 0) <> of_table.oid
        LIMIT 1;
        IF dependent IS NOT NULL THEN
            RAISE EXCEPTION '% depends on public.% and would be left behind by a swap', dependent, name
                USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Drop it, rebuild, and create it again.';
        END IF;
        SELECT v.oid::regclass INTO dependent
        FROM ledger.views_of(name) v WHERE NOT pg_has_role(current_user, v.owner, 'USAGE') LIMIT 1;
        IF dependent IS NOT NULL THEN
            RAISE EXCEPTION 'the view % reads public.% and belongs to a role that % is not a member of', dependent, name, current_user
                USING ERRCODE = 'insufficient_privilege', HINT = 'Grant that role to the owner of the read models, or drop the view.';
        END IF;
    END LOOP;
END $$;

-- Removes tables that do not serve, with their generation. Checkpoints first: a step locks in that order.
CREATE FUNCTION ledger.drop_generation(of_projection text, from_place text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    number int;
    name text;
BEGIN
    IF from_place NOT IN ('rebuild', 'replaced') THEN
        RAISE EXCEPTION 'the tables in % are not to be dropped', from_place;
    END IF;
    DELETE FROM ledger.generation WHERE projection = of_projection AND place = from_place RETURNING generation INTO number;
    DELETE FROM ledger.checkpoint WHERE projection = of_projection AND generation = number;
    DELETE FROM ledger.parked WHERE projection = of_projection AND generation = number;
    FOR name IN SELECT ledger.tables_of(of_projection) LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I.%I', from_place, name);
    END LOOP;
END $$;

-- Puts a generation's tables into another schema.
CREATE FUNCTION ledger.move_generation(of_projection text, from_place text, to_place text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT ledger.tables_of(of_projection) LOOP
        EXECUTE format('ALTER TABLE %I.%I SET SCHEMA %I', from_place, name, to_place);
    END LOOP;
    UPDATE ledger.generation SET place = to_place WHERE projection = of_projection AND place = from_place;
END $$;

-- What rows of the table look like.
CREATE FUNCTION ledger.columns_of(in_place text, of_table text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull) ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = to_regclass(format('%I.%I', in_place, of_table)) AND attnum > 0 AND NOT attisdropped
$$;

-- Whether the tables there look like those that serve.
CREATE FUNCTION ledger.has_same_columns(of_projection text, in_place text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NOT EXISTS (SELECT FROM ledger.tables_of(of_projection) AS t (name)
                       WHERE ledger.columns_of(in_place, t.name) IS DISTINCT FROM ledger.columns_of('public', t.name))
$$;

-- Makes the tables of a new generation, bare: rows come faster into tables without indexes, and COPY does
-- not work under row-level security. What a rebuild that died has left is taken up if it is of use, unless
-- the rows are to prove something, and so to be `fresh`.
CREATE FUNCTION ledger.start_generation(of_projection text, of_version int, by_version text, partial boolean, fresh boolean,
    OUT number int, OUT is_loaded boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    left_over ledger.generation;
    name text;
BEGIN
    PERFORM ledger.check_rebuildable(of_projection);
    PERFORM ledger.unstage(of_projection);
    SELECT * INTO left_over FROM ledger.generation WHERE projection = of_projection AND place = 'rebuild';
    IF left_over.version = of_version AND NOT (left_over.is_partial OR partial OR fresh) AND ledger.has_same_columns(of_projection, 'rebuild') THEN
        number := left_over.generation;
        is_loaded := left_over.loaded_at IS NOT NULL;
        RETURN;
    END IF;
    PERFORM ledger.drop_generation(of_projection, 'rebuild');
    number := nextval('ledger.generation_number');
    is_loaded := false;
    FOR name IN SELECT ledger.tables_of(of_projection) LOOP
        EXECUTE format('CREATE TABLE rebuild.%1$I (LIKE public.%1$I INCLUDING ALL EXCLUDING INDEXES)', name);
        EXECUTE format('REVOKE ALL ON rebuild.%I FROM runledger_projector', name);
        EXECUTE format('GRANT SELECT, INSERT ON rebuild.%I TO runledger_projector', name);
    END LOOP;
    INSERT INTO ledger.generation (projection, generation, version, place, made_by, is_partial)
    VALUES (of_projection, number, of_version, 'rebuild', by_version, partial);
END $$;

-- Takes the replaced tables up again, as those that are to serve next.
CREATE FUNCTION ledger.stage_replaced(of_projection text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
BEGIN
    PERFORM ledger.check_rebuildable(of_projection);
    IF NOT ledger.has_same_columns(of_projection, 'replaced') THEN
        RAISE EXCEPTION 'the replaced tables of % have other columns than those that serve', of_projection
            USING HINT = 'A migration came between; rebuild with the binary that has the older fold instead.';
    END IF;
    PERFORM ledger.drop_generation(of_projection, 'rebuild');
    PERFORM ledger.move_generation(of_projection, 'replaced', 'rebuild');
    UPDATE ledger.generation SET is_staged = true WHERE projection = of_projection AND place = 'rebuild';
END $$;

-- Puts them back if they are not to serve after all.
CREATE FUNCTION ledger.unstage(of_projection text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
BEGIN
    IF EXISTS (SELECT FROM ledger.generation WHERE projection = of_projection AND place = 'rebuild' AND is_staged) THEN
        PERFORM ledger.move_generation(of_projection, 'rebuild', 'replaced');
        UPDATE ledger.generation SET is_staged = false WHERE projection = of_projection AND place = 'replaced';
    END IF;
END $$;

-- Gives a table what the serving one has: options, keys, indexes and triggers that it lacks; row-level
-- security, policies and grants in place of its own.
CREATE FUNCTION ledger.finish_table(of_table text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old oid := format('public.%I', of_table)::regclass;
    new oid := format('rebuild.%I', of_table)::regclass;
    old_name text := format(' ON %s ', old::regclass);
    new_name text := format(' ON %s ', new::regclass);
    it record;
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.read_model WHERE table_name = of_table) THEN
        RAISE EXCEPTION '% is no read model', of_table;
    END IF;
    PERFORM set_config('maintenance_work_mem', '256MB', true);
    FOR it IN SELECT unnest(reloptions) AS option FROM pg_class WHERE oid = old LOOP
        EXECUTE format('ALTER TABLE %s SET (%s)', new::regclass, it.option);
    END LOOP;
    FOR it IN SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint c
              WHERE conrelid = old AND contype IN ('p', 'u', 'x', 'f')
                AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = new AND conname = c.conname) LOOP
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', new::regclass, it.conname, it.definition);
    END LOOP;
    FOR it IN SELECT replace(pg_get_indexdef(i.indexrelid), old_name, new_name) AS definition
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              WHERE i.indrelid = old AND to_regclass(format('rebuild.%I', c.relname)) IS NULL LOOP
        EXECUTE it.definition;
    END LOOP;
    FOR it IN SELECT tgname, tgenabled, replace(pg_get_triggerdef(oid), old_name, new_name) AS definition FROM pg_trigger t
              WHERE tgrelid = old AND NOT tgisinternal
                AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = new AND tgname = t.tgname) LOOP
        EXECUTE it.definition;
        EXECUTE format('ALTER TABLE %s %s TRIGGER %I', new::regclass,
            CASE it.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END, it.tgname);
    END LOOP;
    FOR it IN SELECT polname FROM pg_policy WHERE polrelid = new LOOP
        EXECUTE format('DROP POLICY %I ON %s', it.polname, new::regclass);
    END LOOP;
    FOR it IN SELECT p.*, (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END, ', ') FROM unnest(polroles) AS role) AS roles
              FROM pg_policy p WHERE polrelid = old LOOP
        EXECUTE format('CREATE POLICY %I ON %s AS %s FOR %s TO %s %s %s', it.polname, new::regclass,
            CASE WHEN it.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE it.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            it.roles,
            'USING (' || pg_get_expr(it.polqual, old) || ')',
            'WITH CHECK (' || pg_get_expr(it.polwithcheck, old) || ')');
    END LOOP;
    FOR it IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
              FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = new AND a.grantee <> c.relowner LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', new::regclass, it.grantee);
    END LOOP;
    FOR it IN SELECT a.privilege_type, a.is_grantable, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
              FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = old AND a.grantee <> c.relowner LOOP
        EXECUTE format('GRANT %s ON %s TO %s %s', it.privilege_type, new::regclass, it.grantee, CASE WHEN it.is_grantable THEN 'WITH GRANT OPTION' END);
    END LOOP;
    FOR it IN SELECT attname, a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
              FROM pg_attribute, aclexplode(attacl) a WHERE attrelid = old AND attnum > 0 AND NOT attisdropped LOOP
        EXECUTE format('GRANT %s (%I) ON %s TO %s', it.privilege_type, it.attname, new::regclass, it.grantee);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = old) THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', new::regclass);
    END IF;
    IF (SELECT relforcerowsecurity FROM pg_class WHERE oid = old) THEN
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', new::regclass);
    END IF;
    EXECUTE format('ANALYZE %s', new::regclass);
END $$;

-- The load is complete, and took so long for so many events; of a load that was resumed, nobody can say.
CREATE FUNCTION ledger.generation_loaded(of_projection text, of_generation int, events bigint, ms bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE ledger.generation
    SET loaded_at = coalesce(loaded_at, clock_timestamp()),
        loaded_events = coalesce(events, loaded_events), loaded_ms = coalesce(ms, loaded_ms)
    WHERE projection = of_projection AND generation = of_generation
$$;

-- Who still reads by a snapshot taken before a moment: to them, rows written since would be missing. Sessions
-- of other users show if the owner is a superuser or has pg_read_all_stats.
CREATE FUNCTION ledger.readers_since(moment timestamptz) RETURNS TABLE (pid int, application text, since timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT pid, application_name, xact_start FROM pg_stat_activity a
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND backend_xmin IS NOT NULL AND xact_start < moment
      -- A projector's step that waits for the swap has read nothing yet: 0x726C7031, see projector::generation.
      AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT granted AND locktype = 'advisory' AND classid = 1919709233)
    ORDER BY xact_start
$$;

DO $$
DECLARE
    it text;
BEGIN
    FOREACH it IN ARRAY ARRAY['tables_of', 'views_of', 'check_rebuildable', 'move_generation', 'has_same_columns', 'columns_of', 'drop_generation',
        'start_generation', 'stage_replaced', 'unstage', 'finish_table', 'generation_loaded', 'readers_since'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION ledger.%I FROM PUBLIC', it);
    END LOOP;
    FOREACH it IN ARRAY ARRAY['drop_generation', 'start_generation', 'stage_replaced', 'unstage', 'finish_table', 'generation_loaded', 'readers_since'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION ledger.%I TO runledger_projector', it);
    END LOOP;
END $$;

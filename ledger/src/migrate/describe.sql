-- What stands in the database, an object a row: `relation` is the table, view, sequence or function that it is part
-- of, `partition` the partition of ledger.event, whose own name is written as `event_ORG` everywhere else. The caller
-- has set search_path to pg_catalog, so that PostgreSQL writes every name in full.
--
-- Left out, because they are the deployment's to choose: storage parameters, statistics, comments, the order of columns.
WITH belongs_to_extension AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
),
-- Whoever owns the ledger; what the owner of a thing may do with it is nobody else's business.
owner AS (
    SELECT nspowner AS oid FROM pg_namespace WHERE nspname = 'ledger'
),
-- What stands beside the schema for a while: tables of generations that do not serve, which look as the rebuild that
-- makes them wants, or the migrations under which they served; and what `archive --drop` fills, or has left when it
-- was killed. Who may read them is looked at all the same.
aside AS (
    SELECT c.*, format('%s.%s', n.nspname, c.relname) AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE relkind NOT IN ('i', 'I', 't')
      AND (n.nspname IN ('rebuild', 'replaced') OR n.nspname = 'ledger' AND NOT relispartition AND relname ~ '^event_[0-9a-f]{32}_rest$')
),
-- All of `ledger` and `public` but indexes. Partitions go by one name, so that they can be compared with one template.
relation AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, c.relpersistence,
        c.relpartbound, n.nspname,
        CASE WHEN i.inhparent IS NOT NULL THEN c.relname END AS partition,
        n.nspname || '.' || CASE WHEN i.inhparent IS NULL THEN c.relname ELSE 'event_ORG' END AS name
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = to_regclass('ledger.event')
    WHERE n.nspname IN ('ledger', 'public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relname <> '_sqlx_migrations'
      AND c.oid NOT IN (SELECT oid FROM aside)
      AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM belongs_to_extension)
),
routine AS (
    SELECT p.*, n.nspname, n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('ledger', 'public') AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM belongs_to_extension)
),
described AS (
    SELECT 'table' AS kind, name AS object, name AS relation, partition,
        concat_ws(', ',
            CASE relkind WHEN 'p' THEN 'partitioned by ' || pg_get_partkeydef(oid) WHEN 'f' THEN 'foreign' ELSE 'ordinary' END,
            CASE relpersistence WHEN 'u' THEN 'unlogged' END,
            -- The bound says whose it is, and so does the name.
            CASE WHEN relpartbound IS NULL THEN NULL
                 WHEN pg_get_expr(relpartbound, oid) = format('FOR VALUES IN (%L)', CASE WHEN relname ~ '^event_[0-9a-f]{32}$' THEN substr(relname, 7)::uuid END)
                 THEN 'partition FOR VALUES IN (ORG)'
                 ELSE 'partition ' || pg_get_expr(relpartbound, oid) END,
            'row-level security ' || CASE WHEN relrowsecurity AND relforcerowsecurity THEN 'forced'
                                          WHEN relrowsecurity THEN 'enabled and not forced'
                                          WHEN relforcerowsecurity THEN 'disabled, though forced'
                                          ELSE 'disabled' END) AS definition,
        relowner AS owned_by
    FROM relation WHERE relkind IN ('r', 'p', 'f')
    UNION ALL
    -- A definition has line ends of its own.
    SELECT CASE relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, name, name, NULL,
        concat_ws(' ', 'WITH (' || nullif(array_to_string(ARRAY(SELECT unnest(reloptions) ORDER BY 1), ', '), '') || ')',
            regexp_replace(btrim(pg_get_viewdef(oid)), '\n\s*', ' ', 'g')),
        relowner
    FROM relation WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT 'sequence', name, name, NULL,
        format('%s from %s by %s, %s to %s%s', format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, CASE WHEN seqcycle THEN ', cycling' END),
        relowner
    FROM relation JOIN pg_sequence ON seqrelid = oid WHERE relkind = 'S'
    UNION ALL
    SELECT 'type', name, name, NULL, 'composite', relowner FROM relation WHERE relkind = 'c'
    UNION ALL
    SELECT 'type', format('%s.%s', n.nspname, t.typname), format('%s.%s', n.nspname, t.typname), NULL,
        CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'range' END, t.typowner
    FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE n.nspname IN ('ledger', 'public') AND t.typtype IN ('e', 'd', 'r')
      AND ('pg_type'::regclass, t.oid) NOT IN (SELECT classid, objid FROM belongs_to_extension)
    UNION ALL
    SELECT 'column', format('%s.%s', name, attname), name, partition,
        concat_ws(' ', format_type(atttypid, atttypmod),
            (SELECT format('COLLATE %I', collname) FROM pg_collation WHERE pg_collation.oid = attcollation AND collname <> 'default'),
            CASE attcompression WHEN 'l' THEN 'COMPRESSION lz4' WHEN 'p' THEN 'COMPRESSION pglz' END,
            CASE WHEN attnotnull THEN 'NOT NULL' END,
            CASE attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY' WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
            CASE WHEN attgenerated <> '' THEN 'GENERATED AS ' || pg_get_expr(adbin, adrelid) ELSE 'DEFAULT ' || pg_get_expr(adbin, adrelid) END),
        NULL
    FROM relation JOIN pg_attribute ON attrelid = relation.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    -- A view's columns are those of its definition.
    WHERE relkind IN ('r', 'p', 'f') AND attnum > 0 AND NOT attisdropped
    UNION ALL
    -- Names of a partition's indexes are as chance has it: it has been attached as part of the whole table's.
    SELECT 'index', format('%s.%s', name, coalesce(whole.relname, index.relname)), name, partition,
        concat_ws(' ', CASE WHEN indisunique THEN 'UNIQUE' END, CASE WHEN indnullsnotdistinct THEN 'NULLS NOT DISTINCT' END,
            substring(pg_get_indexdef(indexrelid) FROM ' (USING .*)$'),
            -- That of the whole table is invalid where that of a partition is missing, which is told of the partition.
            CASE WHEN NOT indisvalid AND relation.relkind <> 'p' THEN '(invalid)' END),
        NULL
    FROM relation
    JOIN pg_index ON indrelid = relation.oid
    JOIN pg_class AS index ON index.oid = indexrelid
    LEFT JOIN pg_inherits AS part ON part.inhrelid = indexrelid
    LEFT JOIN pg_class AS whole ON whole.oid = part.inhparent
    UNION ALL
    SELECT 'constraint', format('%s.%s', name, coalesce(whole.conname, c.conname)), name, partition, pg_get_constraintdef(c.oid), NULL
    FROM relation
    JOIN pg_constraint AS c ON c.conrelid = relation.oid
    LEFT JOIN pg_constraint AS whole ON whole.oid = c.conparentid
    WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT 'trigger', format('%s.%s', name, tgname), name, partition,
        concat_ws(' ', replace(pg_get_triggerdef(t.oid), format(' ON %I.%I ', nspname, relname), format(' ON %s ', name)),
            CASE tgenabled WHEN 'A' THEN '(always)' WHEN 'R' THEN '(in replicas)' WHEN 'D' THEN '(disabled)' END),
        NULL
    FROM relation JOIN pg_trigger AS t ON tgrelid = relation.oid WHERE NOT tgisinternal
    UNION ALL
    SELECT 'policy', format('%s.%s', name, polname), name, partition,
        concat_ws(' ', CASE WHEN NOT polpermissive THEN 'RESTRICTIVE' END,
            'FOR', CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            'TO', (SELECT string_agg(role, ', ' ORDER BY role COLLATE "C")
                   FROM (SELECT CASE id WHEN 0 THEN 'PUBLIC' WHEN relowner THEN 'its owner' ELSE pg_get_userbyid(id)::text END AS role
                         FROM unnest(polroles) AS of_policy (id)) AS named),
            'USING (' || pg_get_expr(polqual, polrelid) || ')', 'WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')'),
        NULL
    FROM relation JOIN pg_policy ON polrelid = relation.oid
    UNION ALL
    SELECT 'rule', format('%s.%s', name, rulename), name, partition, regexp_replace(pg_get_ruledef(r.oid), '\n\s*', ' ', 'g'), NULL
    FROM relation JOIN pg_rewrite AS r ON ev_class = relation.oid WHERE rulename <> '_RETURN'
    UNION ALL
    -- Of a body, the hash: `migrations/` has the text.
    SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, name, name, NULL,
        concat_ws(' ', 'RETURNS ' || pg_get_function_result(routine.oid), 'LANGUAGE ' || lanname,
            CASE provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' END,
            CASE proparallel WHEN 's' THEN 'PARALLEL SAFE' WHEN 'r' THEN 'PARALLEL RESTRICTED' END,
            CASE WHEN proisstrict THEN 'STRICT' END, CASE WHEN proleakproof THEN 'LEAKPROOF' END,
            CASE WHEN prosecdef THEN 'SECURITY DEFINER' END,
            'SET ' || nullif(array_to_string(ARRAY(SELECT unnest(proconfig) ORDER BY 1), ' SET '), ''),
            'DEFAULTS ' || pg_get_expr(proargdefaults, 0),
            'body md5 ' || md5(coalesce(pg_get_function_sqlbody(routine.oid), prosrc))),
        proowner
    FROM routine JOIN pg_language ON pg_language.oid = prolang
    UNION ALL
    SELECT 'schema', nspname, nspname, NULL, 'is there', CASE WHEN nspname <> 'ledger' THEN nspowner END
    FROM pg_namespace WHERE nspname IN ('ledger', 'rebuild', 'replaced')
    UNION ALL
    SELECT 'extension', extname, extname, NULL, 'is there', NULL FROM pg_extension
    UNION ALL
    -- What our roles may do by themselves, beyond all grants. They belong to the server, as what they are members of does.
    SELECT 'role', rolname, rolname, NULL,
        concat_ws(', ', CASE WHEN rolcanlogin THEN 'can log in' ELSE 'cannot log in' END,
            CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolbypassrls THEN 'bypasses row-level security' END,
            CASE WHEN rolcreaterole THEN 'creates roles' END, CASE WHEN rolcreatedb THEN 'creates databases' END,
            CASE WHEN rolreplication THEN 'replicates' END,
            (SELECT 'member of ' || string_agg(DISTINCT pg_get_userbyid(roleid)::text, ', ') FROM pg_auth_members WHERE member = pg_roles.oid)),
        NULL
    FROM pg_roles WHERE rolname IN ('runledger_ledger', 'runledger_projector', 'runledger_reader', 'runledger_admin')
    UNION ALL
    SELECT 'table', name, name, NULL,
        concat_ws(', ', CASE relkind WHEN 'r' THEN 'beside the schema' ELSE 'no table' END,
            CASE WHEN NOT (relrowsecurity AND relforcerowsecurity) AND EXISTS (
                     SELECT FROM aclexplode(relacl)
                     WHERE grantee NOT IN (relowner, (SELECT oid FROM pg_roles WHERE rolname = 'runledger_projector')))
                 THEN 'granted without row-level security' END),
        relowner
    FROM aside
),
-- Grants to anybody but the owner. NULL stands for what PostgreSQL grants by itself.
acl AS (
    SELECT name, name AS relation, partition, relowner AS owned_by,
        coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)) AS acl
    FROM relation WHERE relkind <> 'c'
    UNION ALL
    SELECT format('%s.%s', name, attname), name, partition, relowner, attacl
    FROM relation JOIN pg_attribute ON attrelid = relation.oid WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT name, name, NULL, proowner, coalesce(proacl, acldefault('f', proowner)) FROM routine
    UNION ALL
    -- Who else may use `public` is not for us to say.
    SELECT nspname, nspname, NULL, nspowner,
        CASE nspname WHEN 'public'
            THEN nullif(ARRAY(SELECT item FROM unnest(nspacl) AS item WHERE item::text ~ '^runledger_(ledger|projector|reader|admin)='), '{}')
            ELSE nspacl END
    FROM pg_namespace WHERE nspname IN ('ledger', 'rebuild', 'replaced', 'public')
    UNION ALL
    -- Beyond what the serving table grants.
    SELECT name, name, NULL, relowner,
        nullif(ARRAY(
            SELECT item FROM unnest(relacl) AS item
            WHERE NOT EXISTS (
                SELECT FROM pg_class AS serving, aclexplode(serving.relacl) AS theirs
                WHERE serving.oid = to_regclass(format('public.%I', aside.relname))
                  AND theirs.grantee = (SELECT grantee FROM aclexplode(ARRAY[item]) LIMIT 1)
                HAVING array_agg(theirs.privilege_type) @> ARRAY(SELECT privilege_type FROM aclexplode(ARRAY[item])))), '{}')
    FROM aside
),
granted AS (
    SELECT name, relation, partition, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END AS grantee,
        string_agg(privilege_type || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', ' ORDER BY privilege_type COLLATE "C") AS privileges
    FROM acl, aclexplode(acl) AS item WHERE item.grantee <> owned_by
    GROUP BY 1, 2, 3, 4
)
SELECT kind AS "kind!", object AS "object!", relation AS "relation!", partition AS "partition?",
    concat(definition, ', owned by ' || CASE WHEN owned_by <> (SELECT oid FROM owner) THEN pg_get_userbyid(owned_by)::text END) AS "definition!"
FROM described
UNION ALL
SELECT 'grant', format('%s to %s', name, grantee), relation, partition, privileges FROM granted

WITH relation AS (
    SELECT c.oid::regclass::text AS name, c.* FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> '_sqlx_migrations'
)
SELECT format('%s kind %s owner %s rls %s %s options %s replica %s acl %s', name, relkind, relowner::regrole, relrowsecurity, relforcerowsecurity,
              reloptions, relreplident, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) a))
FROM relation
UNION ALL
SELECT format('%s column %s %s not null %s default %s storage %s compression %s acl %s', name, row_number() OVER (PARTITION BY name ORDER BY attnum), attname || ' ' || format_type(atttypid, atttypmod),
              attnotnull, pg_get_expr(adbin, adrelid), attstorage, attcompression, attacl)
FROM relation JOIN pg_attribute ON attrelid = relation.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT format('%s constraint %s %s validated %s', name, conname, pg_get_constraintdef(c.oid), convalidated)
FROM relation JOIN pg_constraint c ON conrelid = relation.oid
UNION ALL
SELECT format('%s index %s valid %s', name, pg_get_indexdef(indexrelid), indisvalid) FROM relation JOIN pg_index ON indrelid = relation.oid
UNION ALL
SELECT format('%s trigger %s %s', name, pg_get_triggerdef(t.oid), tgenabled) FROM relation JOIN pg_trigger t ON tgrelid = relation.oid AND NOT tgisinternal
UNION ALL
SELECT format('%s policy %s %s %s %s using %s check %s', name, polname, polpermissive, polcmd, (SELECT array_agg(r::regrole) FROM unnest(polroles) r),
              pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
FROM relation JOIN pg_policy ON polrelid = relation.oid
UNION ALL
SELECT format('%s view %s', name, pg_get_viewdef(oid)) FROM relation WHERE relkind = 'v'
ORDER BY 1

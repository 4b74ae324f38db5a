-- The views that name one of these tables: the rule of a view depends on what it reads.
SELECT DISTINCT view.oid::regclass::text AS "name!", pg_get_viewdef(view.oid) AS "definition!"
FROM pg_depend
JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid
JOIN pg_class AS view ON view.oid = pg_rewrite.ev_class
WHERE pg_depend.classid = 'pg_rewrite'::regclass
  AND pg_depend.refclassid = 'pg_class'::regclass
  AND pg_depend.refobjid IN (SELECT format('public.%I', name)::regclass FROM UNNEST($1::text[]) AS name)
  AND view.relkind = 'v' AND view.relnamespace = 'public'::regnamespace
  AND has_table_privilege(view.oid, 'SELECT')

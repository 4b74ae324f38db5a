-- The statements that make the indexes of the read models on the limit's tables.
SELECT regexp_replace(
    pg_get_indexdef(indexrelid), 'INDEX \S+ ON public\.(\S+)',
    CASE indrelid WHEN 'user_workflow_run'::regclass THEN 'INDEX ON public.limit_run' ELSE 'INDEX ON public.limit_step' END)
FROM pg_index WHERE indrelid IN ('user_workflow_run'::regclass, 'user_workflow_run_step'::regclass)
ORDER BY indexrelid

SELECT to_json(it)::text FROM (
    SELECT 'channel_auth_type_lu' AS lookup, * FROM channel_auth_type_lu
    UNION ALL SELECT 'channel_type_lu', * FROM channel_type_lu
    UNION ALL SELECT 'job_status_lu', * FROM job_status_lu
    UNION ALL SELECT 'org_type_lu', * FROM org_type_lu
    UNION ALL SELECT 'task_action_lu', * FROM task_action_lu
    UNION ALL SELECT 'task_domain_lu', * FROM task_domain_lu
    UNION ALL SELECT 'workflow_status_lu', * FROM workflow_status_lu
) AS it
ORDER BY lookup, sort, code, org_id

-- What has to be known of each field: the tiers merged part by part. Of each part (level with its rule, validation, help
-- text) the most specific tier decides that sets it: the org for this payer, the org for all payers, the payer, everyone.
-- `level_from` and its like say which tier that was, `level_event_id` by which event.

-- As it is now. The payers are those that somebody has a rule for; the rows without a payer hold for all others.
CREATE VIEW public.effective_requirements WITH (security_invoker = true) AS
SELECT scope.org_id, scope.payer_id, merged.*
FROM (
    SELECT organization.org_id, payer.payer_id
    FROM public.organization CROSS JOIN LATERAL (
        SELECT NULL::uuid AS payer_id
        UNION
        SELECT payer_id FROM public.payer_requirement WHERE org_id = '00000000-0000-4000-8000-000000000001'
        UNION
        -- The key, because that is what the index has.
        SELECT payer_key FROM public.org_requirement_policy AS policy
        WHERE policy.org_id = organization.org_id AND payer_key <> '00000000-0000-0000-0000-000000000000'
    ) AS payer
    WHERE organization.org_id <> '00000000-0000-4000-8000-000000000001'
) AS scope
CROSS JOIN LATERAL (
    SELECT task_type_id, field,
        (array_agg(level ORDER BY precedence) FILTER (WHERE level IS NOT NULL))[1] AS level,
        (array_agg(tier ORDER BY precedence) FILTER (WHERE level IS NOT NULL))[1] AS level_from,
        (array_agg(event_id ORDER BY precedence) FILTER (WHERE level IS NOT NULL))[1] AS level_event_id,
        (array_agg(rule ORDER BY precedence) FILTER (WHERE level IS NOT NULL))[1] AS rule,
        (array_agg(validation ORDER BY precedence) FILTER (WHERE validation IS NOT NULL))[1] AS validation,
        (array_agg(tier ORDER BY precedence) FILTER (WHERE validation IS NOT NULL))[1] AS validation_from,
        (array_agg(event_id ORDER BY precedence) FILTER (WHERE validation IS NOT NULL))[1] AS validation_event_id,
        (array_agg(help_text ORDER BY precedence) FILTER (WHERE help_text IS NOT NULL))[1] AS help_text,
        (array_agg(tier ORDER BY precedence) FILTER (WHERE help_text IS NOT NULL))[1] AS help_text_from,
        (array_agg(event_id ORDER BY precedence) FILTER (WHERE help_text IS NOT NULL))[1] AS help_text_event_id
    FROM (
        SELECT 1 AS precedence, 'org_payer' AS tier, task_type_id, field, level, rule, validation, help_text, event_id
        FROM public.org_requirement_policy AS policy
        WHERE policy.org_id = scope.org_id AND payer_key = scope.payer_id AND payer_id IS NOT NULL AND status = 'active'
        UNION ALL
        SELECT 2 AS precedence, 'org' AS tier, task_type_id, field, level, rule, validation, help_text, event_id
        FROM public.org_requirement_policy AS policy
        WHERE policy.org_id = scope.org_id AND payer_key = '00000000-0000-0000-0000-000000000000' AND status = 'active'
        UNION ALL
        SELECT 3 AS precedence, 'payer' AS tier, task_type_id, field, level, rule, validation, help_text, event_id
        FROM public.payer_requirement AS requirement
        WHERE requirement.org_id = '00000000-0000-4000-8000-000000000001'
            AND requirement.payer_id = scope.payer_id AND status = 'active'
        UNION ALL
        SELECT 4 AS precedence, 'global' AS tier, task_type_id, field, level, rule, validation, help_text, event_id
        FROM public.field_requirement AS requirement
        WHERE requirement.org_id = '00000000-0000-4000-8000-000000000001' AND status = 'active'
    ) AS tiers
    GROUP BY task_type_id, field
) AS merged;
GRANT SELECT ON public.effective_requirements TO runledger_reader, runledger_admin;

-- As it was at a time, by when events say that things happened, and with no time as it is now: for any payer, also for
-- one that nobody has a rule for, and for none (null).
CREATE FUNCTION public.effective_requirements_at(
    of_org uuid, of_payer uuid, of_task_type uuid, as_of timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (
    org_id uuid, payer_id uuid, task_type_id uuid, field text,
    level text, level_from text, level_event_id uuid, rule jsonb,
    validation jsonb, validation_from text, validation_event_id uuid,
    help_text text, help_text_from text, help_text_event_id uuid
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT of_org, of_payer, of_task_type, tiers.field,
        (array_agg(after->>'level' ORDER BY precedence) FILTER (WHERE after ? 'level'))[1],
        (array_agg(tier ORDER BY precedence) FILTER (WHERE after ? 'level'))[1],
        (array_agg(event_id ORDER BY precedence) FILTER (WHERE after ? 'level'))[1],
        (array_agg(after->'rule' ORDER BY precedence) FILTER (WHERE after ? 'level'))[1],
        (array_agg(after->'validation' ORDER BY precedence) FILTER (WHERE after ? 'validation'))[1],
        (array_agg(tier ORDER BY precedence) FILTER (WHERE after ? 'validation'))[1],
        (array_agg(event_id ORDER BY precedence) FILTER (WHERE after ? 'validation'))[1],
        (array_agg(after->>'help_text' ORDER BY precedence) FILTER (WHERE after ? 'help_text'))[1],
        (array_agg(tier ORDER BY precedence) FILTER (WHERE after ? 'help_text'))[1],
        (array_agg(event_id ORDER BY precedence) FILTER (WHERE after ? 'help_text'))[1]
    FROM (
        SELECT CASE WHEN change.payer_id IS NULL THEN 2 ELSE 1 END AS precedence,
            change.tier, change.field, change.after, change.event_id
        FROM public.requirement_changelog AS change
        WHERE change.org_id = of_org AND change.org_id <> '00000000-0000-4000-8000-000000000001'
            AND change.task_type_id = of_task_type AND (change.payer_id = of_payer OR change.payer_id IS NULL)
            AND change.after IS NOT NULL AND change.changed_at <= as_of
            AND (change.superseded_at IS NULL OR change.superseded_at > as_of)
        UNION ALL
        SELECT CASE WHEN change.payer_id IS NULL THEN 4 ELSE 3 END,
            change.tier, change.field, change.after, change.event_id
        FROM public.requirement_changelog AS change
        WHERE change.org_id = '00000000-0000-4000-8000-000000000001'
            AND change.task_type_id = of_task_type AND (change.payer_id = of_payer OR change.payer_id IS NULL)
            AND change.after IS NOT NULL AND change.changed_at <= as_of
            AND (change.superseded_at IS NULL OR change.superseded_at > as_of)
    ) AS tiers
    -- Of an org that whoever asks may not see, nothing is said, instead of what everyone has.
    WHERE EXISTS (SELECT FROM public.organization AS asked WHERE asked.org_id = of_org)
    GROUP BY tiers.field
$$;
REVOKE ALL ON FUNCTION public.effective_requirements_at FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.effective_requirements_at TO runledger_reader, runledger_admin;

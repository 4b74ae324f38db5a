CREATE TABLE public.task_signature (
    org_id uuid NOT NULL,
    task_signature_id uuid NOT NULL,
    portal_type_id uuid,
    endpoint_id uuid,
    task_type_id uuid,
    step_labels text[] NOT NULL,
    source text NOT NULL,
    alias_of uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, task_signature_id)
);
SELECT ledger.protect_by_org('public.task_signature', 'runledger_projector', readable_by_tenant => true, holds_shared_rows => true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.task_signature TO runledger_projector;
INSERT INTO ledger.read_model (table_name, projection) VALUES ('task_signature', 'task_signature');

-- Signatures with what they inherit: an alias has the portal type or endpoint, the task type and the steps of the
-- signature that it is an alias of, so far as it leaves them out. What it is an alias of is one of its own org,
-- else the shared one's. The signatures of a cycle, and aliases of them, inherit nothing and are flagged.
CREATE VIEW public.resolved_task_signature WITH (security_invoker = true) AS
SELECT signature.org_id, signature.task_signature_id,
    CASE WHEN fault IS NULL THEN found.portal_type_id ELSE signature.portal_type_id END AS portal_type_id,
    CASE WHEN fault IS NULL THEN found.endpoint_id ELSE signature.endpoint_id END AS endpoint_id,
    CASE WHEN fault IS NULL THEN found.task_type_id ELSE signature.task_type_id END AS task_type_id,
    CASE WHEN fault IS NULL THEN found.step_labels ELSE signature.step_labels END AS step_labels,
    signature.source, signature.alias_of, found.depth AS inherited_through,
    CASE WHEN fault IS NULL THEN '{}' ELSE ARRAY[fault] END AS flags,
    signature.created_at, signature.updated_at
FROM public.task_signature AS signature CROSS JOIN LATERAL (
    WITH RECURSIVE chain AS (
        SELECT signature.org_id, signature.task_signature_id, signature.portal_type_id, signature.endpoint_id,
            signature.task_type_id, signature.step_labels, signature.alias_of, 0 AS depth
        UNION ALL
        SELECT next.org_id, next.task_signature_id,
            CASE WHEN chain.portal_type_id IS NULL AND chain.endpoint_id IS NULL THEN next.portal_type_id ELSE chain.portal_type_id END,
            CASE WHEN chain.portal_type_id IS NULL AND chain.endpoint_id IS NULL THEN next.endpoint_id ELSE chain.endpoint_id END,
            coalesce(chain.task_type_id, next.task_type_id),
            CASE WHEN chain.step_labels = '{}' THEN next.step_labels ELSE chain.step_labels END,
            next.alias_of, chain.depth + 1
        FROM chain CROSS JOIN LATERAL (
            SELECT * FROM public.task_signature
            WHERE org_id IN (chain.org_id, '00000000-0000-4000-8000-000000000001') AND task_signature_id = chain.alias_of
            ORDER BY org_id = chain.org_id DESC LIMIT 1
        ) AS next
        WHERE chain.depth < 64
    ) CYCLE org_id, task_signature_id SET is_cycle USING visited
    SELECT chain.*,
        CASE WHEN is_cycle THEN 'alias_cycle'
             WHEN alias_of IS NOT NULL AND depth = 64 THEN 'alias_too_long'
             WHEN alias_of IS NOT NULL THEN 'alias_missing' END AS fault
    FROM chain ORDER BY depth DESC LIMIT 1
) AS found;
GRANT SELECT ON public.resolved_task_signature TO runledger_reader, runledger_admin;

-- LIMIT, because the planner knows little of a partition that is filling, and would read all of it.
SELECT sent.event_id AS "event_id!: EventId"
FROM UNNEST($2::uuid[]) AS sent (event_id)
CROSS JOIN LATERAL (
    SELECT FROM ledger.event WHERE org_id = $1 AND event.event_id = sent.event_id LIMIT 1
) AS event
UNION
SELECT event_id FROM ledger.archived_event WHERE org_id = $1 AND event_id = ANY($2)

-- The kind of the screen, if it is of one.
WITH source AS (
    SELECT macro_state_id FROM macro_state_member WHERE org_id = $1 AND micro_state_id = $2
),
-- Ways from the screen itself, and from the others of its kind.
way AS (
    SELECT from_state = $2 AS is_own, action, to_state, count
    FROM rcm_transition
    WHERE org_id = $1 AND ($3::text IS NULL OR action = $3)
        AND (from_state = $2 OR from_state IN (
            SELECT member.micro_state_id FROM macro_state_member AS member JOIN source USING (macro_state_id)
            WHERE member.org_id = $1
        ))
),
-- Where they lead: to a screen, or to its kind.
counted AS (
    SELECT CASE WHEN $4::boolean THEN coalesce(target.macro_state_id, to_state) ELSE to_state END AS state, action,
           coalesce(sum(count) FILTER (WHERE is_own), 0) AS micro, sum(count) AS of_kind
    FROM way
    LEFT JOIN macro_state_member AS target ON target.org_id = $1 AND target.micro_state_id = to_state
    GROUP BY 1, 2
)
SELECT state AS "state!", sum(micro)::bigint AS "micro!",
       CASE WHEN EXISTS (SELECT FROM source) THEN sum(of_kind)::bigint ELSE 0 END AS "of_kind!",
       (array_agg(action ORDER BY of_kind DESC, action))[1] AS "action!"
FROM counted
GROUP BY state

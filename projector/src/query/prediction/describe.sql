SELECT wanted.state AS "state!", kind.macro_state_id AS "macro_state_id?", kind.name AS "name?",
       CASE WHEN $3::boolean THEN kind.label ELSE coalesce(screen.label, kind.label) END AS label, screen.title AS "title?"
FROM UNNEST($2::uuid[]) AS wanted (state)
LEFT JOIN macro_state_member AS member ON member.org_id = $1 AND member.micro_state_id = wanted.state
LEFT JOIN macro_state AS kind
    ON kind.org_id = $1 AND kind.macro_state_id = coalesce(member.macro_state_id, wanted.state)
-- Of a kind of screen, the one that was seen first.
LEFT JOIN micro_state AS screen
    ON screen.org_id = $1
    AND screen.micro_state_id = CASE WHEN member.micro_state_id IS NULL THEN kind.example_id ELSE wanted.state END

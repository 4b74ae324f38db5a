INSERT INTO macro_state_member (org_id, micro_state_id, macro_state_id, via, cluster_id, flags)
-- UNNEST would flatten arrays of arrays.
SELECT org_id, micro_state_id, macro_state_id, via, cluster_id, string_to_array(flags, ',')
FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::text[])
    AS new (org_id, micro_state_id, macro_state_id, via, cluster_id, flags)
ON CONFLICT (org_id, micro_state_id) DO UPDATE SET
    macro_state_id = excluded.macro_state_id,
    via = excluded.via,
    cluster_id = excluded.cluster_id,
    flags = excluded.flags

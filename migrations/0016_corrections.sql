-- What an import brought, in the order of its events, and what was last said of whether a run is on
-- record. Both indexes hold few rows. `importid` is whatever a service sends: one that would not fit into
-- an index is no import's, and must not stop the ledger.
--
-- ON ONLY: building them here would read all events of all orgs while appends wait. `migrate` builds them
-- partition by partition afterwards, while appends go on.
CREATE INDEX event_import ON ONLY ledger.event (org_id, (extensions->>'importid'), seq)
    WHERE octet_length(extensions->>'importid') <= 512;
CREATE INDEX event_correction ON ONLY ledger.event (org_id, subject_id, occurred_at, event_id)
    WHERE event_type IN ('run.retracted', 'run.reinstated');

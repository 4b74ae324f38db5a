-- Makes an org's partition; does nothing where it stands already or where the table is not
-- partitioned. Runs as the owner, in a short transaction of its own before the org's first append.
-- The table is made first and attached then: CREATE TABLE … PARTITION OF would wait for every reader.
CREATE FUNCTION ledger.make_partition(org uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    partition text := 'event_' || replace(org::text, '-', '');
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'ledger.event'::regclass) <> 'p' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(partition, 0));
    IF to_regclass('ledger.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.event INCLUDING ALL)', partition);
    -- Neither the TRUNCATE trigger nor these flags come from the parent. No policy and no grant:
    -- a partition is reached through the parent only.
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', partition);
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER refuse_truncate', partition);
    EXECUTE format('ALTER TABLE ledger.event ATTACH PARTITION ledger.%I FOR VALUES IN (%L)', partition, org);
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER refuse_change', partition);
END $$;
REVOKE ALL ON FUNCTION ledger.make_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.make_partition TO runledger_ledger;

-- Events that are archived are dropped by putting a partition in the place of the org's that holds the rest.
-- It is filled beside the old one; only the swap itself locks. All of this is the owner's: the functions are
-- granted to nobody, and whoever could do without them owns the table anyway. What is checked between the steps,
-- and when a step may follow, is in ledger/src/archive/drop.rs.

-- The common part of making a partition and of swapping one: the table, before anything is in it.
CREATE FUNCTION ledger.create_partition(partition text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.event INCLUDING ALL)', partition);
    -- Not inherited from the parent.
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', partition);
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER refuse_truncate', partition);
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY', partition);
END $$;
REVOKE ALL ON FUNCTION ledger.create_partition FROM PUBLIC;

-- The common part, the end: from here on it is reached through the parent only, and is immutable.
CREATE FUNCTION ledger.attach_partition(partition text, org uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- No policy and no grant.
    EXECUTE format('ALTER TABLE ledger.%I FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('ALTER TABLE ledger.event ATTACH PARTITION ledger.%I FOR VALUES IN (%L)', partition, org);
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER refuse_change', partition);
END $$;
REVOKE ALL ON FUNCTION ledger.attach_partition FROM PUBLIC;

-- As before, of the common parts.
CREATE OR REPLACE FUNCTION ledger.make_partition(org uuid) RETURNS void
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
    PERFORM ledger.create_partition(partition);
    PERFORM ledger.attach_partition(partition, org);
END $$;

-- An empty table for what stays, in the place of one that a drop which was killed has left. Its owner can fill
-- it, because row-level security is not forced before it is attached.
CREATE FUNCTION ledger.prepare_rest(org uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rest text := 'event_' || replace(org::text, '-', '') || '_rest';
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS ledger.%I', rest);
    PERFORM ledger.create_partition(rest);
    -- It implies the bound of the partition, so that attaching reads no row.
    EXECUTE format('ALTER TABLE ledger.%I ADD CONSTRAINT of_one_org CHECK (org_id = %L)', rest, org);
END $$;
REVOKE ALL ON FUNCTION ledger.prepare_rest FROM PUBLIC;

-- Copies the events behind `after` up to `through`, and says how many.
CREATE FUNCTION ledger.copy_rest(org uuid, after bigint, through bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    copied bigint;
BEGIN
    EXECUTE format('INSERT INTO ledger.%I SELECT * FROM ledger.event WHERE org_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq',
                   'event_' || replace(org::text, '-', '') || '_rest')
        USING org, after, through;
    GET DIAGNOSTICS copied = ROW_COUNT;
    RETURN copied;
END $$;
REVOKE ALL ON FUNCTION ledger.copy_rest FROM PUBLIC;

-- Locks out who appends to the org and, for a moment, who reads or writes any event; gives the head. Whoever
-- waits in line behind this waits no longer than its lock_timeout.
CREATE FUNCTION ledger.lock_for_drop(org uuid) RETURNS TABLE (size bigint, frontier bytea[], root bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    partition text := 'event_' || replace(org::text, '-', '');
BEGIN
    -- An autovacuum gives way, but only to somebody who has waited for a second: so wait here, where nobody
    -- who reads or writes waits too.
    EXECUTE format('LOCK TABLE ONLY ledger.%I IN SHARE UPDATE EXCLUSIVE MODE', partition);
    PERFORM set_config('lock_timeout', '200ms', true);
    -- The head first, as whoever appends does.
    RETURN QUERY SELECT h.size, h.frontier, h.root FROM ledger.head h WHERE h.org_id = org FOR UPDATE;
    LOCK TABLE ONLY ledger.event IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE ONLY ledger.%I IN ACCESS EXCLUSIVE MODE', partition);
END $$;
REVOKE ALL ON FUNCTION ledger.lock_for_drop FROM PUBLIC;

-- Puts the rest in the place of the partition. In the transaction of ledger.lock_for_drop.
CREATE FUNCTION ledger.swap_partition(org uuid, dropped_through bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    partition text := 'event_' || replace(org::text, '-', '');
BEGIN
    EXECUTE format('ALTER TABLE ledger.event DETACH PARTITION ledger.%I', partition);
    EXECUTE format('DROP TABLE ledger.%I', partition);
    EXECUTE format('ALTER TABLE ledger.%I RENAME TO %I', partition || '_rest', partition);
    PERFORM ledger.attach_partition(partition, org);
    EXECUTE format('ALTER TABLE ledger.%I DROP CONSTRAINT of_one_org', partition);
    UPDATE ledger.archive SET dropped_at = clock_timestamp()
    WHERE org_id = org AND last_seq <= dropped_through AND dropped_at IS NULL;
END $$;
REVOKE ALL ON FUNCTION ledger.swap_partition FROM PUBLIC;

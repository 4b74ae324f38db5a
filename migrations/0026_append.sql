-- A batch is appended by one statement that commits by itself. What must hold for it is made to hold by an error.
CREATE FUNCTION ledger.require(holds boolean, code text, otherwise text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT holds THEN
        RAISE EXCEPTION '%', otherwise USING ERRCODE = code;
    END IF;
END $$;
REVOKE ALL ON FUNCTION ledger.require FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.require TO runledger_ledger;

-- A run as it was is folded anew for whoever asks, also for a tenant: an event that was parked has to be
-- left out there too.
CREATE POLICY tenant ON ledger.parked FOR SELECT TO runledger_reader USING (org_id = (SELECT ledger.current_org()));
GRANT SELECT ON ledger.parked TO runledger_reader;

-- One of each connection, empty at the start of each reading. Not ON COMMIT DROP: whoever reads need not be
-- in a transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS runledger_archived_event (LIKE ledger.event);
TRUNCATE pg_temp.runledger_archived_event;

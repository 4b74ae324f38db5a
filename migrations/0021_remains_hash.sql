-- Of what ledger.archived_event and ledger.archived_provenance keep of a file's events, one hash, set when they are
-- dropped, so that `verify` proves it without the file. Null for files whose events were dropped before this: what
-- is kept of them is proved with the files only. What it is made of is in ledger/src/archive/remains.rs.
ALTER TABLE ledger.archive ADD COLUMN remains_hash bytea CHECK (octet_length(remains_hash) = 32);

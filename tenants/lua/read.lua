-- Reads a tenant's record.
-- KEYS[1] HASH the tenant's record
-- Returns: the record
-- Flags: no-writes
-- Again: it only reads.
--- @include "lib/record"
return read_record(KEYS[1])

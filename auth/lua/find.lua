-- Finds the digest of a key by its id.
-- KEYS[1] HASH key id to digest, or to "?" and digest
-- ARGV[3] key id
-- Returns: what stands there, or ""
-- Flags: no-writes
-- Again: it only reads.
return redis.call('HGET', KEYS[1], ARGV[3]) or ''

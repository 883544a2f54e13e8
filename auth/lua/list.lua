-- Reads an index of keys: at most 1,000, which index and register_operator see to.
-- KEYS[1] HASH key id to digest, or to "?" and digest
-- Returns: ids and digests in turn
-- Flags: no-writes
-- Again: it only reads.
return redis.call('HGETALL', KEYS[1])

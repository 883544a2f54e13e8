-- Reads of which hours and days a tenant has usage: at most some 600.
-- KEYS[1] ZSET periods by their start in seconds since 1970
-- Returns: the periods, by their start
-- Flags: no-writes
-- Again: it only reads.
return redis.call('ZRANGE', KEYS[1], 0, -1)

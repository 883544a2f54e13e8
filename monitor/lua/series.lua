-- Reads a series.
-- KEYS[1] HASH the series, as in append
-- Returns: its fields and values
-- Flags: no-writes
-- Again: it changes nothing.
return redis.call('HGETALL', KEYS[1])

-- Reads which tenants have alarms.
-- KEYS[1] HASH index, as in enter.lua
-- Returns: ids of tenants, and what is noted of each
-- Flags: no-writes
-- Again: it changes nothing.
return redis.call('HGETALL', KEYS[1])

-- Reads all tasks of a tenant, which are at most as many as save.lua keeps.
-- KEYS[1] HASH task id to JSON
-- Returns: the tasks, in no order
-- Flags: no-writes
-- Again: it changes nothing.
return redis.call('HVALS', KEYS[1])

-- Deletes all tasks of a tenant. Whoever works on one has lost it.
-- KEYS[1] HASH task id to JSON
-- KEYS[2] HASH unfinished task id to its line; see lib/control.lua
-- KEYS[3] HASH task id and part to errors
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return 'ok'

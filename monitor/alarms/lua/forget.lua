-- Removes the alarms of a tenant that is deleted.
-- KEYS[1] HASH alarms, as in read.lua
-- KEYS[2] HASH marks, as in read.lua
-- KEYS[3] HASH log, as in save.lua
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return 'ok'

-- Notes that a tenant has no alarms, unless one was put since the caller looked.
-- KEYS[1] HASH index, as in enter.lua
-- ARGV[3] id of the tenant
-- ARGV[4] what the index had for it, or "" for anything
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
if ARGV[4] == '' or redis.call('HGET', KEYS[1], ARGV[3]) == ARGV[4] then redis.call('HDEL', KEYS[1], ARGV[3]) end
return 'ok'

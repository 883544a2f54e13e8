-- Forgets when to look at a task that has ended or never was.
-- KEYS[1] ZSET as in due.lua
-- ARGV[3] member
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
redis.call('ZREM', KEYS[1], ARGV[3])
return 'ok'

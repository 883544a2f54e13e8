-- Removes what a tenant that is deleted sees of its webhooks in a shard.
-- KEYS[1] ZSET delivered: see lib/hook.lua
-- KEYS[2] ZSET undelivered: the same
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
redis.call('UNLINK', KEYS[1], KEYS[2])
return 'ok'

-- Removes the topic subscriptions of a tenant that is deleted.
-- KEYS[1] HASH topic subscriptions, as in read_patterns.lua
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
redis.call('UNLINK', KEYS[1])
return 'ok'

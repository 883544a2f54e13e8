-- Removes one of the keys of the timelines of a queue that keeps none any more, or is gone. Each takes a call of its own, as in
-- lives_make.lua.
-- KEYS[1] HASH lives or ZSET steps
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
redis.call('UNLINK', KEYS[1])
return 'ok'

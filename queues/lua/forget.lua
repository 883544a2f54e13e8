-- Forgets a deleted queue whose keys are erased.
-- KEYS[1] HASH queues, as in register.lua
-- ARGV[3] uid
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
redis.call('HDEL', KEYS[1], '~' .. ARGV[3])
return { 'ok' }

-- Takes a reservation out of the registry whose maker seems to be gone, and notes that its keys are still to be erased.
-- KEYS[1] HASH queues, as in register.lua
-- ARGV[3] name
-- ARGV[4] uid
-- Returns: "ok"; or "kept" when it is no reservation any more: its maker came to the end
-- Flags: allow-oom
-- Again: what is out stays out.
if redis.call('HEXISTS', KEYS[1], '~' .. ARGV[4]) == 1 then return { 'ok' } end
if redis.call('HGET', KEYS[1], ARGV[3]) ~= 'c' .. ARGV[4] then return { 'kept' } end
redis.call('HDEL', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], '~' .. ARGV[4], '')
return { 'ok' }

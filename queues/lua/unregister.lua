-- Takes a retired queue's name out of the registry and notes that its keys are still to be erased.
-- KEYS[1] HASH queues, as in register.lua
-- KEYS[2] ZSET names of live queues
-- ARGV[3] name
-- ARGV[4] uid
-- Returns: "ok"
-- Flags: allow-oom
-- Again: a name that is out stays out; a name that has been given to another queue is left alone.
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have == 'c' .. ARGV[4] or have == 'q' .. ARGV[4] then
  redis.call('HDEL', KEYS[1], ARGV[3])
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('HSET', KEYS[1], '~' .. ARGV[4], '')
end
return { 'ok' }

-- Makes a reserved queue live: its keys are there.
-- KEYS[1] HASH queues, as in register.lua
-- KEYS[2] ZSET names of live queues, all with score 0
-- ARGV[3] name
-- ARGV[4] uid
-- Returns: "ok"; or "lost" when the reservation is not there any more
-- Flags: none
-- Again: a live queue stays live.
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have ~= 'c' .. ARGV[4] and have ~= 'q' .. ARGV[4] then return { 'lost' } end
redis.call('HSET', KEYS[1], ARGV[3], 'q' .. ARGV[4])
redis.call('ZADD', KEYS[2], 0, ARGV[3])
return { 'ok' }

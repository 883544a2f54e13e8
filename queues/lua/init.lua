-- Makes the keys of a queue, each with its sentinel.
-- KEYS[1] HASH head; all as in lib/queue.lua
-- KEYS[2] HASH body
-- KEYS[3] LIST ready
-- KEYS[4] ZSET again
-- KEYS[5] ZSET age
-- KEYS[6] ZSET flight
-- KEYS[7] ZSET delayed
-- KEYS[8] HASH side
-- KEYS[9] HASH dedup
-- KEYS[10] LIST order
-- ARGV[3] settings, JSON
-- Returns: "ok" and the version of the settings
-- Flags: none
-- Again: it makes only what is not there.
local version = redis.call('HGET', KEYS[1], 'v')
if version then return { 'ok', version } end
for _, key in ipairs({ KEYS[2], KEYS[8], KEYS[9] }) do redis.call('HSET', key, '', '') end
for _, key in ipairs({ KEYS[4], KEYS[5], KEYS[6], KEYS[7] }) do redis.call('ZADD', key, '+inf', '') end
for _, key in ipairs({ KEYS[3], KEYS[10] }) do
  redis.call('DEL', key)
  redis.call('RPUSH', key, '')
end
redis.call('HSET', KEYS[1], 'v', '1', 'set', ARGV[3])
return { 'ok', '1' }

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
-- KEYS[11] ZSET members
-- KEYS[12] ZSET groups
-- KEYS[13] HASH transfers
-- KEYS[14] ZSET expiry
-- KEYS[15] HASH states
-- ARGV[3] settings, JSON
-- ARGV[4] "standard" or "fifo"
-- ARGV[5+] per setting that the scripts read two: its field of the head; its value
-- Returns: "ok", the version of the settings and the settings: those of whoever made the keys
-- Flags: none
-- Again: it makes only what is not there.
local h = redis.call('HMGET', KEYS[1], 'v', 'set')
if h[1] then return { 'ok', h[1], h[2] } end
for _, key in ipairs({ KEYS[2], KEYS[8], KEYS[9], KEYS[13], KEYS[15] }) do redis.call('HSET', key, '', '') end
for _, key in ipairs({ KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[12], KEYS[14] }) do redis.call('ZADD', key, '+inf', '') end
redis.call('ZADD', KEYS[11], 0, '')
for _, key in ipairs({ KEYS[3], KEYS[10] }) do
  redis.call('DEL', key)
  redis.call('RPUSH', key, '')
end
redis.call('HSET', KEYS[1], 'v', '1', 'ty', ARGV[4], 'set', ARGV[3], unpack(ARGV, 5))
return { 'ok', '1', ARGV[3] }

-- Makes the keys of a topic, each with its sentinel.
-- ARGV[3] settings, JSON
-- Returns: "ok", the version of the settings and the settings: those of whoever made the keys
-- Flags: none
-- Again: it makes only what is not there.
--- @include "lib/topic"
local h = redis.call('HMGET', HEAD, 'v', 'set')
if h[1] then return { 'ok', h[1], h[2] } end
for _, key in ipairs({ LOG, DEDUP, SUBSCRIPTIONS, PROGRESS }) do redis.call('HSET', key, '', '') end
for _, key in ipairs({ INDEX, MARKS }) do redis.call('ZADD', key, '+inf', '') end
redis.call('DEL', ORDER)
redis.call('RPUSH', ORDER, '')
redis.call('HSET', HEAD, 'v', '1', 'set', ARGV[3])
return { 'ok', '1', ARGV[3] }

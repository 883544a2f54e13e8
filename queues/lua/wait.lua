-- Notes that something may not be done again for a while with a queue of some name.
-- KEYS[1] ZSET waits, as in waits.lua
-- ARGV[3] letter and name
-- ARGV[4] how long, in milliseconds
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the wait begins anew.
--- @include "lib/clock"
local _, _, now = read_clock(0)
for _, over in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', '(' .. string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, 100)) do redis.call('ZREM', KEYS[1], over) end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[4])), ARGV[3])
-- Readers go by the scores. This only makes room once a tenant is silent.
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'ok'

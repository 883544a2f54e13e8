-- Finds the topics at which it is time to look.
-- KEYS[1] ZSET entry to the instant at which to look at the topic
-- ARGV[3] how many at most
-- Returns: the time; then the entries that are due, the earliest first
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/clock"
local now = string.format('%.0f', read_clock(0))
local out = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[3]))
table.insert(out, 1, now)
return out

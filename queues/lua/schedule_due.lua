-- Finds the schedules that are due, and when the next one will be.
-- KEYS[1] ZSET entry to the instant of its next tick
-- ARGV[3] how many at most
-- Returns: the time; the first instant behind it, or "" for none; then the entries that are due, the earliest first
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/clock"
local now = string.format('%.0f', read_clock(0))
local out = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[3]))
local coming = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
table.insert(out, 1, coming[2] or '')
table.insert(out, 1, now)
return out

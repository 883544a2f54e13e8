-- Forgets sessions of all tenants and of operators that are over, those first that ended first.
-- KEYS[1] HASH digest to record
-- KEYS[2] HASH digest to the last use
-- KEYS[3] ZSET sessions in the order of their text
-- KEYS[4] ZSET the same by when they end, in milliseconds since 1970
-- ARGV[3] how many, at most 100
-- Returns: "ok"; or "more" when as many were over
-- Flags: allow-oom
-- Again: the second call finds others, or nothing.
--- @include "lib/clock"
--- @include "lib/session"
local _, _, now = read_clock(0)
local over = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[3])
for _, entry in ipairs(over) do
  forget_session(KEYS[1], KEYS[2], KEYS[3], KEYS[4], entry)
end
if #over == tonumber(ARGV[3]) then return 'more' end
return 'ok'

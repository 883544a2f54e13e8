-- Reads a topic's settings and counts what it holds.
-- ARGV[3] milliseconds: retention by which to count, or "" to read the settings only
-- ARGV[4] milliseconds: how long the log waits for a subscription
-- Returns: "ok", version, settings, the time, last sequence number, how many messages were published, how many are kept, their bytes, sequence number of the oldest one that is kept or 0, how many subscriptions there are; or "absent" or "gone"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/topic"
local q = open_topic('in')
if q.refusal then return q.refusal end
local out = { 'ok', q.v, redis.call('HGET', HEAD, 'set'), num(q.now) }
if ARGV[3] == '' then return out end
raise_floor(q, tonumber(ARGV[3]), tonumber(ARGV[4]))
local first = redis.call('ZRANGEBYSCORE', INDEX, '(' .. num(q.fl), num(q.sq), 'WITHSCORES', 'LIMIT', 0, 1)
local kept = redis.call('ZCOUNT', INDEX, '(' .. num(q.fl), num(q.sq))
for _, n in ipairs({ q.sq, q['in'], kept, kept > 0 and q.by or 0, first[2] and tonumber(first[2]) or 0 }) do out[#out + 1] = num(n) end
out[#out + 1] = num(redis.call('ZCARD', MARKS) - 1)
return out

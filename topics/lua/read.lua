-- Reads a part of a topic's log.
-- ARGV[3] milliseconds: retention
-- ARGV[4] milliseconds: how long the log waits for a subscription
-- ARGV[5] sequence number behind which to begin, or "" for the oldest message that is kept
-- ARGV[6] how many at most
-- ARGV[7] instead of the fifth: how many messages there are at most behind the place at which to begin, to the end of the log, at most 1000; or 0
-- Returns: "ok" or, when messages behind that are not kept any more, "lost"; the time; last sequence number; sequence number of the oldest message that is kept, or 0; then per message two, at most 100 and 512 KiB or one: sequence number, record; or "absent" or "gone"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/log"
local q = open_topic()
if q.refusal then return q.refusal end
raise_floor(q, tonumber(ARGV[3]), tonumber(ARGV[4]))
local first = redis.call('ZRANGEBYSCORE', INDEX, '(' .. num(q.fl), num(q.sq), 'WITHSCORES', 'LIMIT', 0, 1)
local after = tonumber(ARGV[5]) or q.fl
if ARGV[7] ~= '0' then
  local before = redis.call('ZREVRANGEBYSCORE', INDEX, num(q.sq), '(' .. num(q.fl), 'WITHSCORES', 'LIMIT', tonumber(ARGV[7]), 1)
  after = tonumber(before[2]) or q.fl
end
local out = { after < q.fl and 'lost' or 'ok', num(q.now), num(q.sq), num(tonumber(first[2] or 0)) }
if after < q.fl then return out end
read_log(q, after, math.min(tonumber(ARGV[6]), MOST), out)
return out

-- Claims the carrying of a topic for a server, and reads what comes behind a place in its log.
-- ARGV[3] session of the caller's server
-- ARGV[4] milliseconds: how long it may take itself for the only one that carries
-- ARGV[5] version of the subscriptions that it knows
-- ARGV[6] sequence number behind which to read
-- ARGV[7] "1" when nothing comes behind that but what is not published yet: then it is told of the next publish
-- Returns: "ok", the time, last sequence number, sequence number up to which nothing is kept any more, number of the topic's entry in the index, then per message two, at most 100 and 512 KiB or one: sequence number, record; "news" when the subscriptions have changed; "theirs" and until when, when another server carries; or "absent" or "gone"
-- Flags: allow-oom
-- Again: the second call claims and reads the same.
--- @include "lib/log"
local q = open_topic('sv', 'ow', 'ot', 'ix', 'sl')
if q.refusal then return q.refusal end
local session = tonumber(ARGV[3])
if q.ow ~= session and q.ot > q.now then return { 'theirs', num(q.ot) } end
set(q, 'ow', session)
set(q, 'ot', q.now + tonumber(ARGV[4]))
if num(q.sv) ~= ARGV[5] then
  close_topic(q)
  return { 'news' }
end
local out = { 'ok', num(q.now), num(q.sq), num(q.fl), num(q.ix) }
if not read_log(q, math.max(tonumber(ARGV[6]), q.fl), MOST, out) and ARGV[7] == '1' and q.sl == 0 then
  set(q, 'sl', 1)
end
close_topic(q)
return out

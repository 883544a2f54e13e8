-- Ends a subscription: nothing more is carried to it. What its queue remembers of it is still to be forgotten.
-- ARGV[3] name
-- ARGV[4] uid
-- ARGV[5] JSON of the settings that the caller saw, or "" for any
-- ARGV[6] name of its queue
-- ARGV[7] name of its dead-letter queue, or ""
-- ARGV[8] all that is stored of its settings, where that or its progress is damaged, or "": then uid and queue may be ""
-- Returns: "ok"; "changed" when it is not as the caller saw it; or "absent" or "gone"
-- Flags: allow-oom
-- Again: it has ended.
--- @include "lib/topic"
--- @include "lib/subscription"
local q = open_topic('sv')
if q.refusal then return q.refusal end
local have = redis.call('HGET', SUBSCRIPTIONS, ARGV[3])
if not have then return { 'ok' } end
if ARGV[8] ~= '' then
  if have ~= ARGV[8] then return { 'changed' } end
elseif redis.call('HEXISTS', PROGRESS, ARGV[4]) == 0 then
  return { 'ok' }
end
if ARGV[5] ~= '' and string.match(have, '%d+ ([^\n]+)$') ~= ARGV[5] then return { 'changed' } end
redis.call('HDEL', SUBSCRIPTIONS, ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HSET', SUBSCRIPTIONS, '~' .. ARGV[4], ARGV[6])
  note_letters(ARGV[4], ARGV[7])
  redis.call('HDEL', PROGRESS, ARGV[4])
  redis.call('ZREM', MARKS, ARGV[4])
end
set(q, 'sv', q.sv + 1)
close_topic(q)
return { 'ok' }

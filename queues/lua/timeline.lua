-- Shows what is kept of a message's life, after bringing the queue up to date.
-- ARGV[6] id (12 bytes)
-- ARGV[7] milliseconds: retention
-- Returns: "ok", the time, how many messages were tidied, what is kept of the message, see lib/timeline, or "", when its last step was or 0, "1" when the message is in the queue, what is kept of purges or "", until when steps were dropped for want of room or 0; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: it brings up to date what is not; the second call finds nothing to do.
--- @include "lib/queue"
--- @include "lib/wake"
--- @include "lib/tidy"
local q = open_queue('pop', 'tomb', 'exp', 'nd', 'ag', 'vt', 'gr', 'tt')
if q.refusal then return q.refusal end
if not note then return { 'ok', num(q.now), '0', '', '0', '0', '', '0' } end
local ready, moved = tidy_due(q)
local ended = tidy_expired(q, tonumber(ARGV[7]), MOST)
if ready > 0 then wake(q, q.fifo and offered(q) or ready, 0) end
if #q.f > 0 then close_queue(q) end
local kept = redis.call('HMGET', KEYS[16], ARGV[6], '!', '')
return { 'ok', num(q.now), num(moved + ended), kept[1] or '', num(tonumber(redis.call('ZSCORE', KEYS[17], ARGV[6]) or 0)),
  num(redis.call('HEXISTS', BODY, ARGV[6])), kept[2] or '', string.match(kept[3] or '0,0', ',(%d+)$') }

-- Shows the state of the group of a message that somebody holds.
-- ARGV[6] member of the message (27 bytes)
-- ARGV[7] number of the delivery
-- Returns: "ok", the time, when the state ends or 0 when there is none, the state; "lost" when the message is not held by that delivery; or a refusal of lib/queue
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/queue"
--- @include "lib/holds"
local q = open_queue()
if q.refusal then return q.refusal end
if not holds(q, ARGV[6], tonumber(ARGV[7])) then return { 'lost' } end
local group = group_of(ARGV[6])
local ends = tonumber(redis.call('ZSCORE', EXPIRY, group) or 0)
if ends <= q.now then return { 'ok', num(q.now), '0', '' } end
return { 'ok', num(q.now), num(ends), redis.call('HGET', STATES, group) }

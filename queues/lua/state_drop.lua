-- Forgets the state of the group of a message that somebody holds.
-- ARGV[6] member of the message (27 bytes)
-- ARGV[7] number of the delivery
-- Returns: "ok", the time; "lost" when the message is not held by that delivery; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer, and refuses what comes after a later call.
--- @include "lib/queue"
--- @include "lib/holds"
--- @include "lib/states"
local q = open_queue()
if q.refusal then return q.refusal end
if q.last then return { 'ok', num(q.now) } end
if not holds(q, ARGV[6], tonumber(ARGV[7])) then return { 'lost' } end
local group = group_of(ARGV[6])
if forget_state(q, group) then redis.call('ZREM', EXPIRY, group) end
close_queue(q, '')
return { 'ok', num(q.now) }

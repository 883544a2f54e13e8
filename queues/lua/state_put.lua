-- Replaces the state of the group of a message that somebody holds.
-- ARGV[6] member of the message (27 bytes)
-- ARGV[7] number of the delivery
-- ARGV[8] the state
-- ARGV[9] milliseconds: how long it is kept
-- ARGV[10] how many groups of the queue may have a state
-- ARGV[11] how many bytes the queue may hold, 0 for any number
-- ARGV[12] "" where the tenant may store any number of bytes; "1" to be told when the queue must be granted more
-- Returns: "ok", the time, when the state ends; "short", see lib/stored; "lost" when the message is not held by that delivery, "full" when there is no room for another state, "full_bytes" when there is none for as many bytes; or a refusal of lib/queue
-- Flags: none
-- Again: the lane remembers the answer, and refuses what comes after a later call.
--- @include "lib/queue"
--- @include "lib/holds"
--- @include "lib/states"
--- @include "lib/stored"
local q = open_queue('tt', 'gb')
if q.refusal then return q.refusal end
if q.last then return { 'ok', num(q.now), q.last } end
if not holds(q, ARGV[6], tonumber(ARGV[7])) then return { 'lost' } end
local group, state, bytes = group_of(ARGV[6]), ARGV[8], tonumber(ARGV[11])
forget_ended_states(q)
local old = redis.call('HSTRLEN', STATES, group)
local refusal = old == 0 and redis.call('HLEN', STATES) > tonumber(ARGV[10]) and 'full'
  or bytes > 0 and #state > old and q.by + q.gb + #state - old > bytes and 'full_bytes'
if refusal then
  close_queue(q)
  return { refusal }
end
if ARGV[12] == '1' and #state > old and #state - old > room_left(q) then
  close_queue(q)
  return short(q, #state - old)
end
local ends = num(q.time + tonumber(ARGV[9]))
redis.call('HSET', STATES, group, state)
redis.call('ZADD', EXPIRY, ends, group)
set(q, 'gb', q.gb + #state - old)
if q.tt == 0 then set(q, 'tt', 1) end
close_queue(q, ends)
return { 'ok', num(q.now), ends }

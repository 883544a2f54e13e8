-- Deletes all messages of a queue at once, also those that somebody holds, and the states of its groups; a FIFO queue forgets its deduplication ids too. Redis frees the memory in the background.
-- KEYS[18] STRING none, or KEYS[16] where the queue keeps no timelines: it never exists, so that Redis refuses the call while the slot is being moved, when a key that is removed is taken for moved
-- Returns: "ok", the time, how many; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer.
--- @include "lib/queue"
--- @include "lib/index"
local q = open_queue('pop', 'del')
if q.refusal then return q.refusal end
if q.last then return { 'ok', string.match(q.last, '^(%d+)|(%d+)$') } end
local count = redis.call('HLEN', BODY) - 1
set(q, 'pop', q.pop + listed())
redis.call('UNLINK', BODY, READY, AGAIN, AGE, FLIGHT, DELAYED, SIDE, MEMBERS, GROUPS, EXPIRY, STATES)
redis.call('HSET', BODY, '', '')
redis.call('HSET', SIDE, '', '')
redis.call('HSET', STATES, '', '')
redis.call('RPUSH', READY, '')
for _, key in ipairs({ AGAIN, AGE, FLIGHT, DELAYED, GROUPS, EXPIRY }) do redis.call('ZADD', key, '+inf', '') end
redis.call('ZADD', MEMBERS, 0, '')
if q.fifo then
  redis.call('UNLINK', DEDUP, ORDER)
  redis.call('HSET', DEDUP, '', '')
  redis.call('RPUSH', ORDER, '')
end
set(q, 'tomb', 0)
set(q, 'mx', 0)
set(q, 'nd', 0)
set(q, 'ag', 0)
set(q, 'gr', 0)
set(q, 'tt', 0)
set(q, 'gb', 0)
set(q, 'del', q.del + count)
if note then note(q, 'p', '!', 1, count) end -- a step of all, see lib/timeline
grow(q, -q.by)
close_queue(q, num(q.now) .. '|' .. num(count))
return { 'ok', num(q.now), num(count) }

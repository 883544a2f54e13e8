-- Takes messages back that were to leave, because there is no queue to which they could go.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7] number of the caller's journey, as outbox.lua gave it
-- ARGV[8+] numbers of the messages, at most 100
-- Returns: "ok", the time, how many became available, in how many milliseconds the next does, or 0; "late" when there is a later journey; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: what was taken back is not there any more.
--- @include "lib/queue"
--- @include "lib/enter"
--- @include "lib/transfer"
--- @include "lib/wake"
local q = open_queue('to', 'dl', 'mv', 'ag', 'tt', 'gr', 'nd', 'mx', 'tn')
if q.refusal then return q.refusal end
-- Whoever makes a later journey may have found a queue that takes them.
if q.tn ~= tonumber(ARGV[7]) then return { 'late' } end
local taken, bytes, dead, moved, ready, due, groups = 0, 0, 0, 0, 0, 0, {}
for i = 8, #ARGV do
  local value = redis.call('HGET', TRANSFERS, ARGV[i])
  if value then
    local bar = string.find(value, '|', 1, true)
    local letter, side, to, said = string.match(string.sub(value, 1, bar - 1), '^(%a),%d+,(%d+),(%d+),(%d+)$')
    local at = bar + 24
    local id, record = string.sub(value, bar + 1, bar + 12), string.sub(value, at + side + to + said + 1)
    redis.call('HSET', BODY, id, record)
    grow(q, #record)
    if #record > q.mx then set(q, 'mx', #record) end
    local available, later = enter(q, member_of(id, record), string.sub(value, at + 1, at + side), groups)
    ready = ready + available
    if later and (due == 0 or later < due) then due = later end
    redis.call('HDEL', TRANSFERS, ARGV[i])
    if note then note(q, 'c', id) end
    taken, bytes = taken + 1, bytes + #value
    if letter == 'm' or letter == 'f' then moved = moved + 1 else dead = dead + 1 end
  end
end
local turns = regroup(q, groups)
if q.fifo then ready = turns end
if taken > 0 then
  take_off(q, taken, bytes)
  if dead > 0 then set(q, 'dl', q.dl - dead) end
  if moved > 0 then set(q, 'mv', q.mv - moved) end
  if ARGV[6] ~= '1' then wake(q, ready, due) end
end
close_queue(q)
return { 'ok', num(q.now), num(ready), num(due > 0 and due - q.now or 0) }

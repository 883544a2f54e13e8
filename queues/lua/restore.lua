-- Takes messages back that were to leave, because there is no queue to which they could go.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7+] numbers of the messages, at most 100
-- Returns: "ok", the time, how many became available; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: what was taken back is not there any more.
--- @include "lib/queue"
--- @include "lib/groups"
--- @include "lib/ends"
--- @include "lib/wake"
local q = open_queue('to', 'dl', 'mv', 'ag', 'tt')
if q.refusal then return q.refusal end
local taken, dead, moved, ready, again, groups = 0, 0, 0, 0, false, {}
for i = 7, #ARGV do
  local value = redis.call('HGET', TRANSFERS, ARGV[i])
  if value then
    local bar = string.find(value, '|', 1, true)
    local letter, side, to, said = string.match(string.sub(value, 1, bar - 1), '^(%a),%d+,(%d+),(%d+),(%d+)$')
    local at = bar + 24
    local id, record = string.sub(value, bar + 1, bar + 12), string.sub(value, at + side + to + said + 1)
    local member = member_of(id, record)
    redis.call('HSET', BODY, id, record)
    grow(q, #record)
    if tonumber(side) > 0 then redis.call('HSET', SIDE, id, string.sub(value, at + 1, at + side)) end
    if grouped(member) then
      redis.call('ZADD', MEMBERS, 0, entry_of(member))
      touch(groups, group_of(member))
    else
      local _, _, _, _, rest = read_side(redis.call('HGET', SIDE, id))
      redis.call('ZADD', AGAIN, rank(q.now, rest), id)
      redis.call('ZADD', AGE, num(made(id)), id)
      again = true
    end
    give_end(q, member)
    redis.call('HDEL', TRANSFERS, ARGV[i])
    taken = taken + 1
    if letter == 'm' then moved = moved + 1 else dead = dead + 1 end
  end
end
ready = taken
local turns = regroup(q, groups)
if q.fifo then ready = turns end
if taken > 0 then
  set(q, 'to', q.to - taken)
  if dead > 0 then set(q, 'dl', q.dl - dead) end
  if moved > 0 then set(q, 'mv', q.mv - moved) end
  if again and q.ag == 0 then set(q, 'ag', 1) end
  if ARGV[6] ~= '1' then wake(q, ready, 0) end
end
close_queue(q)
return { 'ok', num(q.now), num(ready) }

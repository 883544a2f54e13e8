-- Takes messages that come from another queue, each once however often it is brought. The lane is that of the other
-- queue, and its numbers are those that outbox.lua gave out there: who still carries what a later call has brought is
-- refused. The lane's answer are the numbers of the messages that came and may be brought again.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7] the first number that the other queue still has
-- ARGV[8+] per message three: its number there; id (12 bytes), time sent in milliseconds or 0 for now, "|" group (8 bytes) or nothing; record without the stamp
-- Returns: "ok", the time, how many became available; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: a message whose number is remembered came before.
--- @include "lib/queue"
--- @include "lib/stamp"
--- @include "lib/groups"
--- @include "lib/wake"
local q = open_queue('mx', 'in', 'gr', 'sq', 'ag')
if q.refusal then return q.refusal end
if q.last then return { 'ok', num(q.now), '0' } end

local came, kept, low = {}, {}, tonumber(ARGV[7])
for number in string.gmatch(string.match(redis.call('HGET', HEAD, ARGV[4]) or '', '|(.*)$') or '', '%d+') do
  if tonumber(number) >= low then
    came[number] = true
    kept[#kept + 1] = number
  end
end

local bodies, ready, again, age, entries, groups = {}, {}, {}, {}, {}, {}
local seq, largest, stored, size = math.max(q.sq, turn(q.time)), q.mx, 0, 0
for i = 8, #ARGV, 3 do
  local number, head = ARGV[i], ARGV[i + 1]
  if not came[number] then
    kept[#kept + 1] = number
    stored = stored + 1
    local bar = string.find(head, '|', 13, true)
    local id, time, group = string.sub(head, 1, 12), tonumber(string.sub(head, 13, bar - 1)), string.sub(head, bar + 1)
    local place
    if group ~= '' then
      seq = seq + 1
      place = group .. pack_place(seq)
      entries[#entries + 1] = 0
      entries[#entries + 1] = place .. id
      touch(groups, group)
    elseif time > 0 then
      again[#again + 1] = num(q.time)
      again[#again + 1] = id
      age[#age + 1] = num(made(id))
      age[#age + 1] = id
    else
      ready[#ready + 1] = id
    end
    local record = stamp(time > 0 and time or q.time, place) .. ARGV[i + 2]
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = record
    size = size + #record
    if #record > largest then largest = #record end
  end
end
if #bodies > 0 then
  redis.call('HSET', BODY, unpack(bodies))
  grow(q, size)
end
if #ready > 0 then redis.call('RPUSH', READY, unpack(ready)) end
if #again > 0 then
  redis.call('ZADD', AGAIN, unpack(again))
  redis.call('ZADD', AGE, unpack(age))
  if q.ag == 0 then set(q, 'ag', 1) end
end
local available = stored
if #entries > 0 then
  redis.call('ZADD', MEMBERS, unpack(entries))
  local turns = regroup(q, groups)
  if q.fifo then available = turns end
  set(q, 'sq', seq)
  if q.gr == 0 then set(q, 'gr', 1) end
end
if stored > 0 then
  set(q, 'in', q['in'] + stored)
  if largest > q.mx then set(q, 'mx', largest) end
  if ARGV[6] ~= '1' then wake(q, available, 0) end
end
close_queue(q, table.concat(kept, ','))
return { 'ok', num(q.now), num(available) }

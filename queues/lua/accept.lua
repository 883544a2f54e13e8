-- Takes messages that come from another queue, each once however often it is brought. The lane is that of the other
-- queue, and its numbers are those that outbox.lua gave out there: who still carries what a later call has brought is
-- refused. The lane's answer are the numbers of the messages that came and may be brought again. What was forwarded is
-- taken only as long as there is room, as by a send, and sends are not paused.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7] the first number that the other queue still has
-- ARGV[8] the queue's caps as in send.lua, or "paused"
-- ARGV[9] name of the queue to which messages go on, or ""
-- ARGV[10] "" where the tenant may store any number of bytes; "1" to be told when the queue must be granted more
-- ARGV[11+] per message three: its number there; id (12 bytes), time sent in milliseconds or 0 for now, of one that was forwarded what it took along (see lib/enter), "|" group (8 bytes) or nothing; record without the stamp
-- Returns: "ok", the time, how many became available, in how many milliseconds the next does, or 0, how many were dropped, how many go on to another queue or left for the dead-letter queue, and per message "k" it is here or "f" no room; or "again", the time, "0", "0", how many were dropped and how many left, when they were as many as one call may and not enough; or "short", see lib/stored, with these two behind it; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: a message whose number is remembered came before.
--- @include "lib/queue"
--- @include "lib/stamp"
--- @include "lib/enter"
--- @include "lib/transfer"
--- @include "lib/wake"
--- @include "lib/stored"
local q = open_queue('mx', 'in', 'gr', 'sq', 'ag', 'tt', 'nd')
if q.refusal then return q.refusal end

local came, kept, low, verdicts = {}, {}, tonumber(ARGV[7]), {}
for number in string.gmatch(string.match(redis.call('HGET', HEAD, ARGV[4]) or '', '|(.*)$') or '', '%d+') do
  if tonumber(number) >= low then
    came[number] = true
    kept[#kept + 1] = number
  end
end
if q.last then
  for i = 11, #ARGV, 3 do verdicts[#verdicts + 1] = came[ARGV[i]] and 'k' or 'f' end
  return { 'ok', num(q.now), '0', '0', '0', '0', table.concat(verdicts) }
end

-- A queue that forwards keeps what was forwarded so often, so that nothing goes round in a ring for ever.
local HOPS = 4
local list, count, bytes, more = {}, 0, 0, 0
for i = 11, #ARGV, 3 do
  local head = ARGV[i + 1]
  local bar = string.find(head, '|', 13, true)
  local time, parts = string.match(string.sub(head, 13, bar - 1), '^(%d+)(.*)$')
  local m = { number = ARGV[i], id = string.sub(head, 1, 12), time = tonumber(time), parts = parts, group = string.sub(head, bar + 1), record = ARGV[i + 2] }
  m.hops = tonumber(string.match(parts, ',n(%d+)') or 0)
  list[#list + 1] = m
  if not came[m.number] then more = more + #m.record + 22 + WEIGHT end
  if m.hops > 0 and not came[m.number] then count, bytes = count + 1, bytes + #m.record + 22 end
end

-- Whether there is no room for a message of that many bytes when so many messages and bytes have come already. An empty
-- queue has room for any, so that none waits for ever.
local function full() return ARGV[8] == 'paused' end
q.dropped, q.left = 0, 0
if ARGV[8] ~= '' and ARGV[8] ~= 'paused' and count > 0 then
--- @include "lib/room"
  local caps = read_caps(ARGV[8], ARGV[9])
  read_more(q, 'gb')
  if make_room(q, caps, count, bytes) then
    close_queue(q)
    return { 'again', num(q.now), '0', '0', num(q.dropped), num(q.left) }
  end
  local there, by = kept_in(q, caps), q.by + q.gb
  full = function(messages, size)
    local n = there + messages
    return n > 0 and (caps.messages > 0 and n >= caps.messages or caps.bytes > 0 and by + size > caps.bytes)
  end
end

if ARGV[10] == '1' and more > room_left(q) then
  close_queue(q)
  return short(q, more, num(q.dropped), num(q.left))
end

local bodies, ready, leaving, groups, no_room = {}, {}, {}, {}, false
local first = math.max(q.sq, turn(q.time))
local seq, largest, stored, size, available, due = first, q.mx, 0, 0, 0, 0
for i, m in ipairs(list) do
  local forwarded = m.hops > 0 and not came[m.number]
  -- Nothing overtakes what has to wait.
  if forwarded and not no_room then no_room = full(stored, size + #m.record + 22) end
  verdicts[i] = forwarded and no_room and 'f' or 'k'
  if verdicts[i] == 'k' and not came[m.number] then
    kept[#kept + 1] = m.number
    stored = stored + 1
    local place
    if m.group ~= '' then
      seq = seq + 1
      place = m.group .. pack_place(seq)
    end
    local record, side = stamp(m.time > 0 and m.time or q.time, place) .. m.record, m.parts ~= '' and write_side(0, 0, 0, 0, m.parts) or ''
    if #record > largest then largest = #record end
    if note then note(q, 'a', m.id, i) end
    if ARGV[9] ~= '' and m.hops < HOPS then
      if note then note(q, 'f', m.id, nil, 0, 0, ARGV[9]) end
      leaving[#leaving + 1] = { 'f', m.id, m.id, side, ARGV[9], '', record }
    else
      bodies[#bodies + 1] = m.id
      bodies[#bodies + 1] = record
      size = size + #record
      if place or m.time > 0 then
        local now, later = enter(q, m.id .. (place or ''), side, groups)
        available = available + now
        if later and (due == 0 or later < due) then due = later end
      else
        ready[#ready + 1] = m.id
        available = available + 1
      end
    end
  end
end
if #bodies > 0 then
  redis.call('HSET', BODY, unpack(bodies))
  grow(q, size)
end
if #ready > 0 then redis.call('RPUSH', READY, unpack(ready)) end
if #leaving > 0 then
  read_more(q, 'tl', 'to', 'mv')
  send_off(q, leaving)
  set(q, 'mv', q.mv + #leaving)
end
if #groups > 0 then
  local turns = regroup(q, groups)
  if q.fifo then available = turns end
end
if seq > first then set(q, 'sq', seq) end
if stored > 0 then
  set(q, 'in', q['in'] + stored)
  if largest > q.mx then set(q, 'mx', largest) end
  if ARGV[6] ~= '1' then wake(q, available, due) end
end
close_queue(q, table.concat(kept, ','))
return { 'ok', num(q.now), num(available), num(due > 0 and due - q.now or 0), num(q.dropped), num(#leaving + q.left), table.concat(verdicts) }

-- Takes messages that another thing than a client sends in one order, such as a topic for one of its subscriptions, each
-- once however often it is brought: the lane is that of the source, and what it remembers is the sequence number up to
-- which all has come. What has a smaller one is not stored again. Where the queue has no room left it takes what comes
-- before, and says how far that is.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7] how many messages the queue may hold, 0 for any number
-- ARGV[8] the queue's caps as in send.lua
-- ARGV[9] milliseconds: how long a new message stays hidden
-- ARGV[10] name of the queue to which messages go on, or ""
-- ARGV[11] "" where the tenant may store any number of bytes; "1" to be told when the queue must be granted more, "2" to take what its grant has room for
-- ARGV[12+] per message three: its sequence number, growing, none above that of the call; id (12 bytes), and behind it group (8 bytes) or nothing; record without the stamp
-- Returns: "ok", the time, the sequence number up to which all has come, how many became available, in how many milliseconds the next does, or 0, how many messages were dropped to make room, and how many left for the dead-letter queue, or go on to another one; or, when what was taken out to make room was as much as one call may and not enough, "again" with how many were dropped and how many left; or "short", see lib/stored, with these two and "1" behind it for an empty queue, which has no room for a single message; or a refusal of lib/queue, of which "late" says that more has come than this call brings
-- Flags: none
-- Again: what has come is not above what the lane remembers.
--- @include "lib/queue"
--- @include "lib/stamp"
--- @include "lib/groups"
--- @include "lib/wake"
--- @include "lib/transfer"
--- @include "lib/stored"
local q = open_queue('mx', 'in', 'nd', 'gr', 'sq', 'ag', 'tt')
if q.refusal then return q.refusal end
if q.last then return { 'ok', num(q.now), ARGV[5], '0', '0', '0', '0' } end

local before = tonumber(string.match(redis.call('HGET', HEAD, ARGV[4]) or '0', '^%d+'))
local list, bytes, forward = {}, 0, ARGV[10]
for i = 12, #ARGV, 3 do
  local seq = tonumber(ARGV[i])
  if seq > before then
    local group = string.sub(ARGV[i + 1], 13)
    local size = #ARGV[i + 2] + (group == '' and 7 or 22) -- with its stamp
    list[#list + 1] = { seq = seq, id = string.sub(ARGV[i + 1], 1, 12), group = group, record = ARGV[i + 2], size = size }
    bytes = bytes + size
  end
end

-- How many of them there is room for.
local fits, most, most_bytes = #list, tonumber(ARGV[7]), 0
q.dropped, q.left = 0, 0
local there, by = redis.call('HLEN', BODY) - 1, q.by
if ARGV[8] ~= '' and #list > 0 then
--- @include "lib/room"
  local caps = read_caps(ARGV[8], forward)
  read_more(q, 'gb')
  if make_room(q, caps, #list, bytes) then
    close_queue(q)
    return { 'again', num(q.dropped), num(q.left) }
  end
  there, by = kept_in(q, caps), q.by + q.gb
  if caps.messages > 0 and (most == 0 or caps.messages < most) then most = caps.messages end
  most_bytes = caps.bytes
end
if #list > 0 and (most > 0 or most_bytes > 0) then
  for i, m in ipairs(list) do
    there, by = there + 1, by + m.size
    if most > 0 and there > most or most_bytes > 0 and by > most_bytes then
      fits = i - 1
      break
    end
  end
end
-- What the tenant may not store does not fit either; but an empty queue takes a message, or none could ever be got out of a log that has filled all there is.
if ARGV[11] ~= '' and fits > 0 then
  local left, more = room_left(q), 0
  for i = 1, fits do
    more = more + list[i].size + WEIGHT
    if more > left and ARGV[11] == '2' then
      fits = i - 1
      if i > 1 or redis.call('HLEN', BODY) - 1 + q.to > 0 then break end
      close_queue(q)
      return short(q, more, num(q.dropped), num(q.left), '1')
    end
  end
  if more > left and ARGV[11] == '1' then
    close_queue(q)
    return short(q, more, num(q.dropped), num(q.left), '0')
  end
end
local reached = fits == #list and tonumber(ARGV[5]) or math.max(list[fits + 1].seq - 1, before)

local bodies, ready, leaving, delayed, entries, ages, joined = {}, {}, {}, {}, {}, {}, {}
local place_seq, largest, size, opened, turns, available, any_group = math.max(q.sq, turn(q.time)), q.mx, 0, 0, 0, 0, false
local at = tonumber(ARGV[9]) > 0 and q.time + tonumber(ARGV[9])

-- As in a send: the first one of a group gives it a turn; in a standard queue one that is delayed joins its group later.
local function join(group, member)
  if at and not q.fifo then return end
  entries[#entries + 1] = 0
  entries[#entries + 1] = entry_of(member)
  if joined[group] then return end
  joined[group] = true
  turns = turns + 1
  if redis.call('ZADD', GROUPS, 'NX', num(at and turn(at) or turn(q.time) + turns % FENCE), group) == 1 and not at then
    opened = opened + 1
    ages[#ages + 1] = num(placed(member) + WITNESS_TOLERANCE)
    ages[#ages + 1] = group
  end
end

local function store(m, member, record)
  bodies[#bodies + 1] = m.id
  bodies[#bodies + 1] = record
  size = size + #record
  if at then
    delayed[#delayed + 1] = num(at)
    delayed[#delayed + 1] = member
  else
    available = available + 1
  end
  if grouped(member) then
    join(m.group, member)
  elseif not at then
    ready[#ready + 1] = member
  end
end

local mark = stamp(q.time)
for i = 1, fits do
  local m = list[i]
  local member, place = m.id, nil
  if m.group ~= '' then
    place_seq = place_seq + 1
    place = m.group .. pack_place(place_seq)
    member, any_group = member .. place, true
  end
  local record = (place and stamp(q.time, place) or mark) .. m.record
  if #record > largest then largest = #record end
  if note then note(q, 's', m.id, 1, 0, at) end
  if forward == '' then
    store(m, member, record)
  else
    if note then note(q, 'f', m.id, nil, 0, 0, forward) end
    -- As in a send: it leaves at once, with what it must keep; see lib/enter.
    leaving[#leaving + 1] = { 'f', m.id, m.id, at and write_side(0, 0, 0, 0, ',w' .. num(at)) or '', forward, '', record }
  end
end
if #bodies > 0 then
  redis.call('HSET', BODY, unpack(bodies))
  grow(q, size)
end
if #leaving > 0 then
  read_more(q, 'tl', 'to', 'mv')
  send_off(q, leaving)
  set(q, 'mv', q.mv + #leaving)
end
if fits > 0 then set(q, 'in', q['in'] + fits) end
if #ready > 0 then redis.call('RPUSH', READY, unpack(ready)) end
if #entries > 0 then redis.call('ZADD', MEMBERS, unpack(entries)) end
if #ages > 0 then redis.call('ZADD', AGE, unpack(ages)) end
if any_group then
  set(q, 'sq', place_seq)
  if q.gr == 0 and forward == '' then set(q, 'gr', 1) end
end
if #delayed > 0 then
  redis.call('ZADD', DELAYED, unpack(delayed))
  if at < q.nd then set(q, 'nd', at) end
end
if largest > q.mx then set(q, 'mx', largest) end
if q.fifo then available = opened end
local due = #delayed > 0 and at or 0
if ARGV[6] ~= '1' then wake(q, available, due) end
if reached > before then set(q, ARGV[4], num(reached) .. '|') end
close_queue(q)
return { 'ok', num(q.now), num(reached), num(available), num(due > 0 and due - q.now or 0), num(q.dropped), num(q.left + #leaving) }

-- Stores messages in a queue, and wakes one waiting server; or, where the queue forwards, begins their way to another one.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7] milliseconds: how long a deduplication key is remembered
-- ARGV[8] how many messages the queue may hold, 0 for any number
-- ARGV[9] how many deduplication keys the queue may remember
-- ARGV[10] "1" when all messages must be stored or none
-- ARGV[11] "" or the queue's caps: how many messages; how many bytes, 0 for any number of either; milliseconds: retention; 1 to drop the oldest messages when there is no room, 2 to send them to the dead-letter queue, else 0; with "," between them
-- ARGV[12] name of the queue to which messages go on, or ""
-- ARGV[13] "" where the tenant may store any number of bytes; "1" to be told when the queue must be granted more, "2" to store what its grant has room for
-- ARGV[14+] per message two: id (12 bytes), and behind it, when needed, delay in milliseconds, "e" and in how many milliseconds it ends if it has an end, what its side record is to have behind the numbers, "|" deduplication digest (16 bytes) and body digest (8 bytes), both or none, group (8 bytes) or none; then its record without the stamp
-- Returns: "ok", the time, "" when all were stored and the queue is not FIFO, otherwise 13 bytes each and in a FIFO queue 7 more for the place: "=" stored, "d" and the id of the first message with that key, "c" key used with another body, "f" no room for another key, "m" too many messages, "b" too many bytes, "t" more than the tenant may store; of a FIFO queue how many groups became available, else 0; how many messages were dropped; how many left for the dead-letter queue, or "1" where that is not known; or "conflict", "full", "dedup_full"; or "full_messages", "full_bytes", "full_tenant" or, when the messages that were taken out were as many as one call may and not enough, "again", with how many were dropped and how many left; or "short", see lib/stored, with these two behind it; or a refusal of lib/queue
-- Flags: none
-- Again: the lane remembers the answer.
--- @include "lib/queue"
--- @include "lib/stamp"
--- @include "lib/groups"
--- @include "lib/wake"
--- @include "lib/forget"
--- @include "lib/transfer"
--- @include "lib/stored"
local q = open_queue('mx', 'in', 'nd', 'gr', 'sq', 'ag', 'tt')
if q.refusal then return q.refusal end
if q.last then
  local bar = string.find(q.last, '|', 1, true)
  return { 'ok', string.sub(q.last, 1, bar - 1), string.sub(q.last, bar + 1), '1', '0', ARGV[11] ~= '' and '1' or '0' }
end

q.dropped, q.left = 0, 0
local count, forward = (#ARGV - 13) / 2, ARGV[12]
local ids, delays, groups, extras, ends = {}, {}, {}, {}, {}
local keyed, fresh, answer = {}, 0, ''
for i = 1, count do
  local head = ARGV[12 + 2 * i]
  if #head == 12 then
    ids[i] = head
  else
    ids[i] = string.sub(head, 1, 12)
    local bar = string.find(head, '|', 13, true)
    local delay, ttl, extra = string.match(string.sub(head, 13, bar - 1), '^(%d+)e?(%d*)(.*)$')
    delays[i] = tonumber(delay)
    ends[i] = tonumber(ttl)
    if extra ~= '' then extras[i] = extra end
    local rest = #head - bar
    if rest >= 24 then keyed[i] = { string.sub(head, bar + 1, bar + 16), string.sub(head, bar + 17, bar + 24) } end
    if rest % 24 == 8 then groups[i] = string.sub(head, -8) end
  end
end

-- Messages with a deduplication key: "d", "c" or "f" and an id for those that are not to be stored. Messages of groups
-- get their places.
local window, twins, places, kept, verdicts = tonumber(ARGV[7]), {}, {}, {}, {}
if next(keyed) or next(groups) then
  local seen, conflict, seq = {}, false, math.max(q.sq, turn(q.time))
  for i = 1, count do
    local key, print = keyed[i] and keyed[i][1], keyed[i] and keyed[i][2]
    local first = key and (seen[key] or redis.call('HGET', DEDUP, key))
    local mark = first and string.find(first, '|', 1, true)
    if first and tonumber(string.sub(first, 1, mark - 1)) + window > q.now then
      local same = string.sub(first, mark + 13, mark + 20) == print
      conflict = conflict or not same
      verdicts[i] = (same and 'd' or 'c') .. string.sub(first, mark + 1, mark + 12) .. string.sub(first, mark + 21)
      twins[i] = true
    else
      if groups[i] then
        seq = seq + 1
        places[i] = pack_place(seq)
      end
      verdicts[i] = '=' .. ids[i]
      if q.fifo then verdicts[i] = verdicts[i] .. places[i] end
      if key then
        kept[i] = num(q.time) .. '|' .. ids[i] .. print .. (q.fifo and places[i] or '')
        seen[key] = kept[i]
        fresh = fresh + 1
      end
    end
  end
  if conflict and ARGV[10] == '1' then return { 'conflict' } end
  if fresh > 0 and redis.call('LLEN', ORDER) - 1 + fresh > tonumber(ARGV[9]) then
    local oldest = redis.call('LINDEX', ORDER, 1)
    if oldest and tonumber(string.sub(oldest, 17)) + window > q.now then
      if ARGV[10] == '1' or q.fifo then return { 'dedup_full' } end
      -- No room for new keys. Messages without one, and those that were stored before, are not concerned.
      for i = 1, count do
        if keyed[i] and seen[keyed[i][1]] then verdicts[i], twins[i], kept[i] = 'f' .. ids[i], true, nil end
      end
      fresh = 0
    end
  end
  if next(twins) or q.fifo then answer = table.concat(verdicts) end
  if seq > q.sq and next(groups) then set(q, 'sq', seq) end
end
if ARGV[8] ~= '0' and redis.call('HLEN', BODY) - 1 + count > tonumber(ARGV[8]) then return { 'full' } end

-- Refuses what does not fit into a capped queue, or what its tenant may not store. The functions for that are made here, because most queues have no cap. In a FIFO queue nothing overtakes what was refused.
if ARGV[11] ~= '' or ARGV[13] == '2' then
--- @include "lib/room"
  local caps = read_caps(ARGV[11] ~= '' and ARGV[11] or '0,0,0,0', forward)
  local sizes, n, total, lost, full = {}, 0, 0, {}, nil
  read_more(q, 'gb')
  for i = 1, count do
    if not twins[i] then
      sizes[i] = #ARGV[13 + 2 * i] + #stamp(0, groups[i] and groups[i] .. places[i])
      n, total = n + 1, total + sizes[i]
    end
  end
  if make_room(q, caps, n, total) then
    close_queue(q)
    return { 'again', num(q.dropped), num(q.left) }
  end
  local there, most, most_bytes = kept_in(q, caps), caps.messages, caps.bytes
  local by = q.by + q.gb
  local left = ARGV[13] == '2' and room_left(q)
  for i = 1, count do
    local key, weight = keyed[i] and keyed[i][1], sizes[i] and sizes[i] + WEIGHT * (kept[i] and 2 or 1)
    local verdict = key and twins[i] and lost[key] -- the same as what became of the first one
    if not twins[i] then
      if q.fifo and full then verdict = full
      elseif most > 0 and there >= most then verdict = 'm'
      elseif most_bytes > 0 and by + sizes[i] > most_bytes then verdict = 'b'
      elseif left and weight > left then verdict = 't'
      else
        there, by = there + 1, by + sizes[i]
        if left then left = left - weight end
      end
      if verdict and kept[i] then
        lost[key], kept[i] = verdict, nil
        fresh = fresh - 1
      end
    end
    if verdict then
      if ARGV[10] == '1' then
        close_queue(q)
        return { ({ m = 'full_messages', b = 'full_bytes', t = 'full_tenant' })[verdict], num(q.dropped), num(q.left) }
      end
      full, twins[i] = verdict, true
      verdicts[i] = verdict .. ids[i] .. (q.fifo and string.rep('\0', 7) or '')
    end
  end
  if full then
    for i = 1, count do verdicts[i] = verdicts[i] or '=' .. ids[i] end
    answer = table.concat(verdicts)
  end
end

if ARGV[13] == '1' then
  local more = WEIGHT * fresh
  for i = 1, count do
    if not twins[i] then more = more + WEIGHT + #ARGV[13 + 2 * i] + (groups[i] and 22 or 7) end -- with its stamp
  end
  if more > 0 and more > room_left(q) then
    forget_keys(q, window, MOST)
    close_queue(q)
    return short(q, more, num(q.dropped), num(q.left))
  end
end

local bodies, ready, delayed, entries, due, largest, size = {}, {}, {}, {}, 0, q.mx, 0
local opened, turns, ages, joined = 0, 0, {}, {}
local mark, n, available = stamp(q.time), 0, 0

-- A queue that forwards has messages leave at once, with what they must keep; see lib/enter.
local leaving = {}
if forward ~= '' then
  for i = 1, count do
    if not twins[i] then
      local record = stamp(q.time, groups[i] and groups[i] .. places[i]) .. ARGV[13 + 2 * i]
      if #record > largest then largest = #record end
      local parts = extras[i] or ''
      if delays[i] and delays[i] > 0 then parts = parts .. ',w' .. num(q.time + delays[i]) end
      if ends[i] then parts = parts .. ',t' .. num(q.time + ends[i]) end
      leaving[#leaving + 1] = { 'f', ids[i], ids[i], parts ~= '' and write_side(0, 0, 0, 0, parts) or '', forward, '', record }
      if note then
        note(q, 's', ids[i], i, 0, (delays[i] or 0) > 0 and q.time + delays[i])
        note(q, 'f', ids[i], nil, 0, 0, forward)
      end
      twins[i] = true
    end
  end
  read_more(q, 'tl', 'to', 'mv')
  send_off(q, leaving)
  set(q, 'mv', q.mv + #leaving)
end

-- Enters a message in its group. The first one of a group gives it a turn; in a standard queue one that is delayed joins
-- its group later.
local function join(group, member, at)
  if at and not q.fifo then return end
  entries[#entries + 1] = 0
  entries[#entries + 1] = entry_of(member)
  if joined[group] then return end
  joined[group] = true
  turns = turns + 1
  local score = num(at and turn(at) or turn(q.time) + turns % FENCE)
  if redis.call('ZADD', GROUPS, 'NX', score, group) == 1 and not at then
    opened = opened + 1
    ages[#ages + 1] = num(placed(member) + WITNESS_TOLERANCE)
    ages[#ages + 1] = group
  end
end

for i = 1, count do
  if not twins[i] then
    local member, record = ids[i], mark .. ARGV[13 + 2 * i]
    if groups[i] then
      local place = groups[i] .. places[i]
      member, record = member .. place, stamp(q.time, place) .. ARGV[13 + 2 * i]
    end
    bodies[n + 1], bodies[n + 2] = ids[i], record
    n = n + 2
    size = size + #record
    if #record > largest then largest = #record end
    local at = delays[i] and delays[i] > 0 and q.time + delays[i]
    if note then note(q, 's', ids[i], i, 0, at) end
    if at then
      delayed[#delayed + 1] = num(at)
      delayed[#delayed + 1] = member
      if due == 0 or at < due then due = at end
    else
      available = available + 1
    end
    if groups[i] then
      join(groups[i], member, at)
    elseif not at and extras[i] then
      -- Whoever takes a message from the list does not look for a side record.
      redis.call('ZADD', AGAIN, rank(q.time, extras[i]), member)
      redis.call('ZADD', AGE, num(made(member)), member)
      if q.ag == 0 then set(q, 'ag', 1) end
    elseif not at then
      ready[#ready + 1] = member
    end
    if ends[i] then
      redis.call('ZADD', EXPIRY, num(q.time + ends[i]), member)
      if q.tt == 0 then set(q, 'tt', 1) end
      if q.fifo and q.time + ends[i] < q.nd then set(q, 'nd', q.time + ends[i]) end
    end
    if extras[i] then redis.call('HSET', SIDE, ids[i], write_side(0, 0, 0, 0, extras[i])) end
  end
  if kept[i] then
    redis.call('HSET', DEDUP, keyed[i][1], kept[i])
    redis.call('RPUSH', ORDER, keyed[i][1] .. num(q.time))
  end
end
if n > 0 then
  redis.call('HSET', BODY, unpack(bodies))
  grow(q, size)
end
if #ready > 0 then redis.call('RPUSH', READY, unpack(ready)) end
if #entries > 0 then redis.call('ZADD', MEMBERS, unpack(entries)) end
if #ages > 0 then redis.call('ZADD', AGE, unpack(ages)) end
if next(groups) and q.gr == 0 then set(q, 'gr', 1) end
if #delayed > 0 then
  redis.call('ZADD', DELAYED, unpack(delayed))
  if due < q.nd then set(q, 'nd', due) end
end
if fresh > 0 then
  -- Forget at least twice as many keys as were added, so that the memory shrinks as soon as it may.
  forget_keys(q, window, 2 * fresh + 1)
end
if q.fifo then available = opened end
if ARGV[6] ~= '1' then wake(q, available, due) end
if largest > q.mx then set(q, 'mx', largest) end
set(q, 'in', q['in'] + n / 2 + #leaving)
close_queue(q, num(q.time) .. '|' .. answer)
return { 'ok', num(q.time), answer, num(opened), num(q.dropped), num(q.left) }

-- Stores messages in a queue, and wakes one waiting server.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7] milliseconds: how long a deduplication key is remembered
-- ARGV[8] how many messages the queue may hold, 0 for any number
-- ARGV[9] how many deduplication keys the queue may remember
-- ARGV[10] "1" when all messages must be stored or none
-- ARGV[11+] per message two: id (12 bytes), and behind it, when needed, delay in milliseconds "|" deduplication digest (16 bytes) and body digest (8 bytes); then its record without the stamp
-- Returns: "ok", the time, and "" when all were stored, otherwise 13 bytes each: "=" stored, "d" and the id of the first message with that key, "c" key used with another body, "f" no room for another key; or "conflict", "full", "dedup_full", or a refusal of lib/queue
-- Flags: none
-- Again: the lane remembers the answer.
--- @include "lib/queue"
--- @include "lib/stamp"
--- @include "lib/wake"
--- @include "lib/forget"
local q = open_queue('mx', 'in', 'nd')
if q.refusal then return q.refusal end
if q.last then
  local bar = string.find(q.last, '|', 1, true)
  return { 'ok', string.sub(q.last, 1, bar - 1), string.sub(q.last, bar + 1) }
end

local count = (#ARGV - 10) / 2
local ids, delays = {}, {}
local keyed, fresh, answer = {}, 0, ''
for i = 1, count do
  local head = ARGV[9 + 2 * i]
  if #head == 12 then
    ids[i] = head
  else
    ids[i] = string.sub(head, 1, 12)
    local bar = string.find(head, '|', 13, true)
    delays[i] = tonumber(string.sub(head, 13, bar - 1))
    if #head > bar then keyed[i] = { string.sub(head, bar + 1, bar + 16), string.sub(head, bar + 17) } end
  end
end

-- Messages with a deduplication key: "d", "c" or "f" and an id for those that are not to be stored.
local window, twins = tonumber(ARGV[7]), {}
if next(keyed) then
  local seen, conflict, verdicts = {}, false, {}
  for i = 1, count do
    verdicts[i] = '=' .. ids[i]
    if keyed[i] then
      local key, print = keyed[i][1], keyed[i][2]
      local first = seen[key] or redis.call('HGET', DEDUP, key)
      local mark = first and string.find(first, '|', 1, true)
      if first and tonumber(string.sub(first, 1, mark - 1)) + window > q.now then
        local same = string.sub(first, mark + 13) == print
        conflict = conflict or not same
        verdicts[i] = (same and 'd' or 'c') .. string.sub(first, mark + 1, mark + 12)
        twins[i] = true
      else
        seen[key] = num(q.time) .. '|' .. ids[i] .. print
        fresh = fresh + 1
      end
    end
  end
  if conflict and ARGV[10] == '1' then return { 'conflict' } end
  if fresh > 0 and redis.call('LLEN', ORDER) - 1 + fresh > tonumber(ARGV[9]) then
    local oldest = redis.call('LINDEX', ORDER, 1)
    if oldest and tonumber(string.sub(oldest, 17)) + window > q.now then
      if ARGV[10] == '1' then return { 'dedup_full' } end
      -- No room for new keys. Messages without one, and those that were stored before, are not concerned.
      for i = 1, count do
        if keyed[i] and seen[keyed[i][1]] then verdicts[i], twins[i] = 'f' .. ids[i], true end
      end
      fresh = 0
    end
  end
  if next(twins) then answer = table.concat(verdicts) end
end
if ARGV[8] ~= '0' and redis.call('HLEN', BODY) - 1 + count > tonumber(ARGV[8]) then return { 'full' } end

local bodies, ready, delayed, due, largest = {}, {}, {}, 0, q.mx
local mark, n = stamp(q.time), 0
for i = 1, count do
  if not twins[i] then
    local record = mark .. ARGV[10 + 2 * i]
    bodies[n + 1], bodies[n + 2] = ids[i], record
    n = n + 2
    if #record > largest then largest = #record end
    if delays[i] and delays[i] > 0 then
      local at = q.time + delays[i]
      delayed[#delayed + 1] = num(at)
      delayed[#delayed + 1] = ids[i]
      if due == 0 or at < due then due = at end
    else
      ready[#ready + 1] = ids[i]
    end
    if keyed[i] then
      redis.call('HSET', DEDUP, keyed[i][1], num(q.time) .. '|' .. ids[i] .. keyed[i][2])
      redis.call('RPUSH', ORDER, keyed[i][1] .. num(q.time))
    end
  end
end
if n > 0 then redis.call('HSET', BODY, unpack(bodies)) end
if #ready > 0 then redis.call('RPUSH', READY, unpack(ready)) end
if #delayed > 0 then
  redis.call('ZADD', DELAYED, unpack(delayed))
  if due < q.nd then set(q, 'nd', due) end
end
if fresh > 0 then
  -- Forget at least twice as many keys as were added, so that the memory shrinks as soon as it may.
  forget_keys(q, window, 2 * fresh + 1)
end
if ARGV[6] ~= '1' then wake(q, #ready, due) end
if largest > q.mx then set(q, 'mx', largest) end
set(q, 'in', q['in'] + n / 2)
close_queue(q, num(q.time) .. '|' .. answer)
return { 'ok', num(q.time), answer }

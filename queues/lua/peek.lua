-- Shows a page of messages without changing anything.
-- ARGV[6] which: letters of "a" again, "r" ready, "m" available in groups, "f" leases that ended, "d" delays that ended, "F" in flight, "D" delayed, "w" leases that ended of messages that wait for their back-off; shown in this order
-- ARGV[7] letter at which to go on, or ""
-- ARGV[8] position after which to go on: for "r" how many ids had ever been taken from the list up to it, for "m" nothing, else a score
-- ARGV[9] member after which to go on among those with that score; for "m" the entry
-- ARGV[10] how many at most
-- ARGV[11] milliseconds: retention
-- Returns: "ok", the time, letter, position and member after which the next page goes on (letter "": this was the last one), and per message six: letter, position, member, record, side record or "", the score of an ordered index or "", of "w" until when it waits in milliseconds; or a refusal of lib/queue
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/queue"
--- @include "lib/past"
--- @include "lib/groups"
--- @include "lib/retry"
--- @include "lib/ends"
local q = open_queue('pop', 'vt', 'gr', 'tt')
if q.refusal then return q.refusal end
local out, bytes, looked = { 'ok', num(q.now), '', '', '' }, 0, 0
local last = { ARGV[7], ARGV[8], ARGV[9] }
local most, retention = tonumber(ARGV[10]), tonumber(ARGV[11])

-- Adds a message, unless it is gone or over. Returns false when the page is full.
local function show(letter, position, member, score)
  local entry, id = member, id_of(member)
  if letter == 'm' then
    member = member_at(entry)
    id = id_of(member)
  end
  if looked >= MOST or (#out - 5) / 6 >= most then return false end
  local size = redis.call('HSTRLEN', BODY, id)
  if bytes > 0 and bytes + size > BYTES then return false end
  looked = looked + 1
  last = { letter, position, entry }
  local shown, known = score, past(q, letter, id, score)
  if letter == 'f' or letter == 'w' then
    local till = waits_till(q, id, tonumber(score))
    if (letter == 'w') ~= (till > q.now) then return true end
    if letter == 'w' then shown = num(till) end
  end
  local record = size > 0 and redis.call('HGET', BODY, id)
  local over = record and letter ~= 'F' and has_ended(q, member) or record and letter ~= 'F' and letter ~= 'D' and letter ~= 'w' and outlived(q, member, record, retention)
  if record and not over then
    bytes = bytes + size
    for _, v in ipairs({ letter, position, member, record, known, shown }) do out[#out + 1] = v end
  end
  return true
end

-- Whether member a stands before b, byte by byte: Lua's own < follows the locale of the Redis server.
local function before(a, b)
  for i = 1, math.max(#a, #b) do
    local x, y = string.byte(a, i) or -1, string.byte(b, i) or -1
    if x ~= y then return x < y end
  end
  return false
end

-- The rank of the first member behind (score, id). Members with one score stand in the order of their bytes.
local function rank_after(key, score, id)
  local low, high = redis.call('ZCOUNT', key, '-inf', '(' .. score), redis.call('ZCOUNT', key, '-inf', score)
  while low < high do
    local mid = math.floor((low + high) / 2)
    if before(id, redis.call('ZRANGE', key, mid, mid)[1]) then high = mid else low = mid + 1 end
  end
  return low
end

local function show_ordered(letter, key, from, to)
  local start = from == '' and 0 or redis.call('ZCOUNT', key, '-inf', from)
  if ARGV[7] == letter then start = math.max(start, rank_after(key, ARGV[8], ARGV[9])) end
  local stop = to == '' and held(key) or redis.call('ZCOUNT', key, '-inf', to)
  if stop > start + MOST then stop = start + MOST end
  if start >= stop then return true end
  local members = redis.call('ZRANGE', key, start, stop - 1, 'WITHSCORES')
  for i = 1, #members, 2 do
    if not show(letter, num(tonumber(members[i + 1])), members[i], num(tonumber(members[i + 1]))) then return false end
  end
  return true
end

local function show_list()
  local start = 0
  if ARGV[7] == 'r' then start = math.max(0, tonumber(ARGV[8]) - q.pop) end
  local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
  local ids = redis.call('LRANGE', READY, start + skip, start + skip + MOST - 1)
  for i, id in ipairs(ids) do
    if not show('r', num(q.pop + start + i), id, '') then return false end
  end
  return true
end

-- Messages of groups that are available, group by group, in each by their places.
local function show_groups()
  if q.gr == 0 then return true end
  local from = '(' .. (ARGV[7] == 'm' and ARGV[9] or '') -- not the sentinel, which is empty
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', MEMBERS, from, '+', 'LIMIT', 0, MOST)) do
    local member = member_at(entry)
    local elsewhere = q.fifo and (redis.call('ZSCORE', FLIGHT, member) or redis.call('ZSCORE', DELAYED, member))
    if elsewhere then
      if looked >= MOST then return false end
      looked = looked + 1
      last = { 'm', '0', entry }
    elseif not show('m', '0', entry, '') then
      return false
    end
  end
  return true
end

local complete = true
local from = ARGV[7] == '' and 1 or string.find(ARGV[6], ARGV[7], 1, true)
for i = from, #ARGV[6] do
  local letter = string.sub(ARGV[6], i, i)
  local going = true
  if letter == 'a' then going = show_ordered('a', AGAIN, '', '')
  elseif letter == 'r' then going = show_list()
  elseif letter == 'm' then going = show_groups()
  elseif letter == 'f' then going = show_ordered('f', FLIGHT, '', '(' .. lease_bound(q.now))
  elseif letter == 'd' then going = show_ordered('d', DELAYED, '', num(q.now))
  elseif letter == 'F' then going = show_ordered('F', FLIGHT, '(' .. lease_bound(q.now), '')
  elseif letter == 'w' then going = show_ordered('w', FLIGHT, '', '(' .. lease_bound(q.now))
  elseif letter == 'D' then going = show_ordered('D', DELAYED, num(q.now), '')
  end
  if not going or looked >= MOST then
    complete = false
    break
  end
end
if not complete then out[3], out[4], out[5] = last[1], last[2], last[3] end
return out

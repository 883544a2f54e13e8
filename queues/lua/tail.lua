-- Shows what has become available since an earlier look, without changing anything: first what is new in the list, then
-- what was delayed or came back, then what came to groups.
-- ARGV[6] position in the list: how many ids had ever been taken from it up to the last one seen; "" for its end
-- ARGV[7] milliseconds: when the last one seen of the others became available; "" for now
-- ARGV[8] its id, or ""
-- ARGV[9] place up to which all messages of groups have been seen; "" for now
-- ARGV[10] place up to which the round over the groups that is under way looks; "" for now
-- ARGV[11] how far that round has come: an entry of `members`, or "" when none is under way
-- ARGV[12] how many at most
-- ARGV[13] milliseconds: retention
-- Returns: "ok", the time, the six of ARGV[6] to ARGV[11] with which the next look goes on, "1" when there may be more; then per message seven: letter of peek.lua, id, record, side record or "", the score of an ordered index or "", and what a look goes on with behind it: a position in the list and "", a time and an id, or a place and an entry; or a refusal of lib/queue
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/queue"
--- @include "lib/past"
--- @include "lib/groups"
--- @include "lib/ends"
local q = open_queue('pop', 'vt', 'gr', 'sq', 'tt')
if q.refusal then return q.refusal end
local position, since, after = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local seen, upto, entry = tonumber(ARGV[9]) or q.sq, tonumber(ARGV[10]) or q.sq, ARGV[11]
local most, retention = tonumber(ARGV[12]), tonumber(ARGV[13])
local last = q.pop + listed()
-- A position behind the end is one of an earlier queue of this name.
if not position or position > last then position = last end
-- What becomes available in this very millisecond is shown next time, when no more of it can come.
since = since or q.now - 1
local out, bytes, looked, shown, full = { 'ok', num(q.now), '', '', '', '', '', '', '0' }, 0, 0, 0, false

-- Shows a message, unless it is gone or over. Returns false when there is no more room.
local function show(letter, member, score, at, behind)
  local id = id_of(member)
  local size = redis.call('HSTRLEN', BODY, id)
  full = looked >= MOST or shown >= most or bytes > 0 and bytes + size > BYTES
  if full then return false end
  looked = looked + 1
  local record = size > 0 and redis.call('HGET', BODY, id)
  if record and not has_ended(q, member) and not outlived(q, member, record, retention) then
    bytes, shown = bytes + size, shown + 1
    for _, v in ipairs({ letter, id, record, past(q, letter, id, score), score, num(at), behind }) do out[#out + 1] = v end
  end
  return true
end

if position < last then
  local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
  local start = math.max(0, position - q.pop)
  local ids = redis.call('LRANGE', READY, start + skip, start + skip + MOST - 1)
  for i, id in ipairs(ids) do
    if not show('r', id, '', q.pop + start + i, '') then break end
    position = q.pop + start + i
  end
  full = full or position < last
end

-- Whether the message of member a stands behind that of b, byte by byte: Lua's own < follows the locale of the Redis
-- server.
local function behind(a, b)
  for i = 1, 12 do
    local x, y = string.byte(a, i) or -1, string.byte(b, i) or -1
    if x ~= y then return x > y end
  end
  return false
end

-- The next members of an ordered key: behind (since, after), and before this millisecond.
local function next_of(letter, key)
  local from, list = redis.call('ZCOUNT', key, '-inf', '(' .. num(since)), {}
  local to, high = redis.call('ZCOUNT', key, '-inf', '(' .. num(q.now)), redis.call('ZCOUNT', key, '-inf', num(since))
  while from < high do
    local mid = math.floor((from + high) / 2)
    if behind(redis.call('ZRANGE', key, mid, mid)[1], after) then high = mid else from = mid + 1 end
  end
  to = math.min(to, from + MOST)
  if from < to then
    local members = redis.call('ZRANGE', key, from, to - 1, 'WITHSCORES')
    for i = 1, #members, 2 do list[#list + 1] = { letter, members[i], tonumber(members[i + 1]) } end
  end
  return list
end

if not full then
  local a, d, i, k = next_of('a', AGAIN), q.fifo and {} or next_of('d', DELAYED), 1, 1
  while a[i] or d[k] do
    local pick
    if a[i] and (not d[k] or a[i][3] < d[k][3] or a[i][3] == d[k][3] and not behind(a[i][2], d[k][2])) then
      pick, i = a[i], i + 1
    else
      pick, k = d[k], k + 1
    end
    if not show(pick[1], pick[2], num(pick[3]), pick[3], id_of(pick[2])) then break end
    since, after = pick[3], id_of(pick[2])
  end
end

-- No index has the messages of groups in the order in which they came. So a round goes over all groups, and from each
-- to what has a place behind `seen`, up to the newest place when the round began. A step reads one entry and no body, so
-- there may be more of them than messages.
local STEPS = 500
local function place_of(found)
  local place = 0
  for i = 9, 15 do place = place * 256 + string.byte(found, i) end
  return place
end
if not full and (entry ~= '' or q.sq > seen) then
  if entry == '' then upto = q.sq end
  for _ = 1, STEPS do
    local found = redis.call('ZRANGEBYLEX', MEMBERS, '(' .. entry, '+', 'LIMIT', 0, 1)[1]
    if not found then
      seen, entry = upto, ''
      break
    end
    local place = place_of(found)
    if place <= seen then
      entry = string.sub(found, 1, 8) .. pack_place(seen) .. string.rep('\255', 12)
    elseif place > upto then
      entry = string.sub(found, 1, 8) .. string.rep('\255', 19)
    else
      local member = member_at(found)
      local lent = q.fifo and redis.call('ZSCORE', FLIGHT, member)
      local due = q.fifo and not lent and redis.call('ZSCORE', DELAYED, member)
      local letter, score = 'm', ''
      if lent then
        letter, score = lease_end(tonumber(lent)) <= q.now and 'f' or 'F', num(tonumber(lent))
      elseif due then
        letter, score = tonumber(due) <= q.now and 'd' or 'D', num(tonumber(due))
      end
      if letter ~= 'F' and not show(letter, member, score, upto, found) then break end
      entry = found
    end
  end
end

if entry == '' then upto = seen end
for i, v in ipairs({ num(position), num(since), after, num(seen), num(upto), entry }) do out[2 + i] = v end
if full or looked >= MOST or entry ~= '' or q.sq > seen then out[9] = '1' end
return out

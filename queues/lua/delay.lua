-- Changes when a delayed message becomes available.
-- ARGV[6] milliseconds: retention
-- ARGV[7] id (12 bytes)
-- ARGV[8] when it becomes available, in milliseconds since 1970; or "" for ARGV[9]
-- ARGV[9] milliseconds from now on
-- Returns: "ok", the time, and "k" changed, "g" not there, "h" somebody holds it, "r" it is available already, "l" not before it ends; of "k" when it becomes available, of "l" when it ends by retention or by itself, else 0. Or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer.
--- @include "lib/queue"
--- @include "lib/groups"
--- @include "lib/wake"
--- @include "lib/tidy"
local q = open_queue('nd', 'ag', 'vt', 'tomb', 'exp', 'tt')
if q.refusal then return q.refusal end
if q.last then return { 'ok', string.match(q.last, '^(%d+)|(%l)(%d+)$') } end

-- A message whose lease has ended may wait for its back-off, which is a delay like any other.
local freed = tidy_due(q)
if freed > 0 then wake(q, q.fifo and offered(q) or freed, 0) end

local function answer(verdict, time)
  close_queue(q, num(q.now) .. '|' .. verdict .. num(time))
  return { 'ok', num(q.now), verdict, num(time) }
end

local id, retention = ARGV[7], tonumber(ARGV[6])
local record = id ~= '' and redis.call('HGET', BODY, id)
if not record then return answer('g', 0) end
local member = member_of(id, record)
local lent, later = redis.call('ZSCORE', FLIGHT, member), redis.call('ZSCORE', DELAYED, member)
if lent and lease_end(tonumber(lent)) > q.now then return answer('h', 0) end
if not later or tonumber(later) <= q.now then
  if has_ended(q, member) then return answer('g', 0) end
  return answer(outlived(q, member, record, retention) and 'g' or 'r', 0)
end
local span = tonumber(ARGV[9])
local at = tonumber(ARGV[8]) or span > 0 and q.time + span or q.now
-- What has passed means now: it does not overtake what has been available for longer.
if at < q.now then at = q.now end
local ends = (q.fifo and placed(member) or sent(record)) + retention
if q.tt ~= 0 then ends = math.min(ends, tonumber(redis.call('ZSCORE', EXPIRY, member) or ends)) end
if at >= ends then return answer('l', ends) end

local due = at > q.now and at or 0
if note then note(q, 't', id, 1, 0, at) end
local ready = due == 0 and 1 or 0
if q.fifo and ready == 1 then
  -- Behind one that is held, nobody would look until that one is settled; then it must not seem delayed any more.
  redis.call('ZREM', DELAYED, member)
else
  -- From here on it is like any other whose delay ends at that time.
  redis.call('ZADD', DELAYED, num(at), member)
  if at < q.nd then set(q, 'nd', at) end
end
if q.fifo then
  -- Only a group's first message decides when the group has its turn.
  local group = group_of(member)
  if member_at(group_entries(group, 1)[1]) == member then regroup(q, { group }) else ready = 0 end
end
wake(q, ready, due)
return answer('k', at)

-- What a webhook does when it is full.
--- @include "lib/hook"
-- What becomes of messages for which there is no room: OLDEST has the oldest make room, REFUSE has them wait in the topic's log.
local OLDEST, REFUSE = 1, 2
-- So many entries are looked at for the oldest that is not being sent: there are at most 64 requests, each with 100.
local LOOKS = 6500
-- So many entries, or some more, one call puts in order of what a webhook held before the oldest were to make room.
local ORDERED = 1000
-- No state without a message has so many bytes.
local BARE = 64

-- Puts more of what waits into `groups`, where that is not done. Whatever leaves `queue` meanwhile was put there when it was lent.
local function put_in_order(q)
  if q.oo ~= 2 then return end
  local part = redis.call('ZSCAN', QUEUE, num(q.oc), 'COUNT', ORDERED)
  local list = {}
  for i = 1, #part[2], 2 do
    list[#list + 1] = 0
    list[#list + 1] = part[2][i]
  end
  for i = 1, #list, 2 * MOST do redis.call('ZADD', GROUPS, unpack(list, i, math.min(i + 2 * MOST - 1, #list))) end
  set(q, 'oc', tonumber(part[1]))
  if q.oc == 0 then set(q, 'oo', 1) end
end

-- Returns the oldest entry that waits and is not being sent, or nil. With `stored` it is one whose message is kept here. The caller
-- drops it.
local function oldest(q, stored)
  q.kept, q.looked = q.kept or 1, q.looked or 0 -- the sentinel is first
  while q.looked < LOOKS do
    if not q.line or q.at > #q.line then
      q.line, q.at = redis.call('ZRANGE', GROUPS, num(q.kept), num(q.kept + MOST - 1)), 1
      if #q.line == 0 then return nil end
    end
    local id = q.line[q.at]
    q.at, q.looked = q.at + 1, q.looked + 1
    local waits = redis.call('ZSCORE', QUEUE, id)
    if not waits and not redis.call('ZSCORE', SENDING, id) then
      redis.call('ZREM', GROUPS, id) -- a server before `oo` has delivered it
    elseif waits and (not stored or redis.call('HSTRLEN', STATES, id) > BARE) then
      return id
    else
      q.kept = q.kept + 1
    end
  end
  return nil
end

-- Drops the oldest entry: the one that failed first, and where none has the oldest that waits; at most MOST in a call of a script.
-- With `stored` it is one that gives bytes back, where it waits. Returns whether there was one.
local function drop_oldest(q, stored)
  q.pushed = q.pushed or 0
  if q.pushed == MOST then return false end
  local id = redis.call('ZRANGEBYSCORE', DEAD, '-inf', ENDLESS, 'LIMIT', 0, 1)[1]
  if not id then id = oldest(q, stored) end
  if not id then return false end
  finish(q, id)
  redis.call('ZREM', GROUPS, id)
  q.pushed = q.pushed + 1
  set(q, 'ov', q.ov + 1)
  return true
end

-- Whether there is room for so many bytes more, or is now.
local function fits(q, more)
  while q.sg + more > STORED do
    if q.op ~= OLDEST or not drop_oldest(q, true) then return false end
  end
  return true
end

--- @include "lib/tidy"
--- @include "lib/wake"
-- Makes room in a queue that has a cap.

-- Takes the oldest available message out of its place and returns its id, or nil when there is none, whether it stood in
-- `ready`, and its member. fresh: ids from the head of `ready`, of which `popped` are used up. Of a FIFO group whose first message is held or delayed it takes nothing.
local function take_oldest(q, fresh, popped)
  local id, first = fresh[popped + 1], redis.call('ZRANGE', AGE, 0, 0, 'WITHSCORES')
  local aged, since = first[1], tonumber(first[2])
  if aged == '' then return id, true, id end
  local group = #aged == 8
  if group then since = since - WITNESS_TOLERANCE end
  if id and made(id) < since then return id, true, id end
  local member = aged
  id = aged
  if group then
    local entry = group_entries(aged, 1)[1]
    member = member_at(entry)
    id = id_of(member)
    redis.call('ZREM', MEMBERS, entry)
    regroup(q, { aged })
  else
    redis.call('ZREM', AGE, id)
    redis.call('ZREM', AGAIN, id)
  end
  redis.call('HDEL', SIDE, id)
  return id, false, member
end

-- Deletes available messages, the oldest first, until that many and that many bytes are gone, or none is left, or it has
-- looked at MOST: then it returns true, for there may be more to delete.
local function drop_oldest(q, messages, bytes)
  local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
  local fresh = redis.call('LRANGE', READY, skip, skip + MOST - 1)
  local gone, members, freed, looked, popped, tombs, left = {}, {}, 0, 0, 0, 0, true
  while left and looked < MOST and (#gone < messages or freed < bytes) do
    local id, listed_id, member = take_oldest(q, fresh, popped)
    left = id ~= nil
    if left then
      looked = looked + 1
      if listed_id then popped = popped + 1 end
      local size = redis.call('HSTRLEN', BODY, id)
      freed = freed + size
      if size > 0 then
        gone[#gone + 1], members[#members + 1] = id, member
      else
        tombs = tombs + 1
      end
    end
  end
  if popped > 0 then
    pop_ready(popped + skip)
    set(q, 'pop', q.pop + popped)
  end
  if tombs > 0 then set(q, 'tomb', q.tomb - tombs) end
  if #gone > 0 then
    remove_records(q, gone)
    forget_ends(q, members)
    q.dropped = q.dropped + #gone
    set(q, 'drop', q.drop + #gone)
  end
  return left and (#gone < messages or freed < bytes)
end

-- How many messages and bytes are too many when `count` messages of `bytes` bytes come to a queue that may hold as much as
-- its caps say; 0 of a cap is no cap.
local function excess(q, caps, count, bytes)
  local messages = caps.messages > 0 and redis.call('HLEN', BODY) - 1 + count - caps.messages or 0
  return math.max(messages, 0), math.max(caps.bytes > 0 and q.by + bytes - caps.bytes or 0, 0)
end

-- Tidies a queue that is full, and drops messages where its caps say so. Returns true when that may go on: call again.
local function make_room(q, caps, count, bytes)
  local messages, over = excess(q, caps, count, bytes)
  if messages == 0 and over == 0 then return false end
  read_more(q, 'pop', 'tomb', 'exp', 'ag', 'vt', 'drop')
  local moved = tidy_due(q)
  tidy_expired(q, caps.retention, MOST)
  if moved > 0 then wake(q, q.fifo and offered(q) or moved, 0) end
  messages, over = excess(q, caps, count, bytes)
  -- What can never fit pushes nothing out.
  if not caps.drop or caps.messages > 0 and count > caps.messages or caps.bytes > 0 and bytes > caps.bytes then return false end
  return drop_oldest(q, messages, over)
end

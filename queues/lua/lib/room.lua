--- @include "lib/tidy"
--- @include "lib/wake"
--- @include "lib/transfer"
-- Makes room in a queue that has a cap.

-- The caps of a queue as the scripts are told of them, with "," between: messages; bytes, 0 for any number of either;
-- milliseconds of retention; 1 to drop the oldest messages when there is no room, 2 to send them to the dead-letter queue,
-- else 0. forward: the name of the queue to which messages go on, or "".
local function read_caps(text, forward)
  local messages, bytes, retention, rule = string.match(text, '^(%d+),(%d+),(%d+),(%d)$')
  return { messages = tonumber(messages), bytes = tonumber(bytes), retention = tonumber(retention), drop = rule == '1', dead = rule == '2', forwards = forward ~= '' }
end

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
  return id, false, member
end

-- What lib/transfer takes of a message that leaves for the dead-letter queue, or nil when it has ended, which is only
-- waiting to be tidied away.
local function overflowing(q, id, member, retention)
  local record = redis.call('HGET', BODY, id)
  local since = q.fifo and placed(member) or sent(record)
  if since + retention <= q.now or has_ended(q, member) then return nil end
  local side = redis.call('HGET', SIDE, id) or ''
  if q.tt ~= 0 then
    local d, r, f, first, rest = read_side(side ~= '' and side)
    side = write_side(d, r, f, first, take_end(q, member, rest))
  end
  return { 'o', id, id, side, '', '', record }
end

-- Takes available messages out of the queue, the oldest first, until that many and that many bytes are gone, or none is
-- left, or it has looked at MOST or as many bytes as a script may: then it returns true, for there may be more to take. It
-- deletes them, or sends them off to the dead-letter queue.
local function drop_oldest(q, caps, messages, bytes)
  local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
  local fresh = redis.call('LRANGE', READY, skip, skip + MOST - 1)
  local gone, members, freed, looked, popped, tombs, left = {}, {}, 0, 0, 0, 0, true
  local leaving = {}
  while left and looked < MOST and (not caps.dead or freed < BYTES) and (#gone < messages or freed < bytes) do
    local id, listed_id, member = take_oldest(q, fresh, popped)
    left = id ~= nil
    if left then
      looked = looked + 1
      if listed_id then popped = popped + 1 end
      local size = redis.call('HSTRLEN', BODY, id)
      freed = freed + size
      if size > 0 then
        gone[#gone + 1], members[#members + 1] = id, member
        local parcel = caps.dead and overflowing(q, id, member, caps.retention)
        if parcel then leaving[#leaving + 1] = parcel end
        if note then note(q, parcel and 'd' or caps.dead and 'x' or 'o', id, nil, 0, 0, parcel and 'o') end
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
    remove_records(q, gone, freed)
    redis.call('HDEL', SIDE, unpack(gone))
    forget_ends(q, members)
    if caps.dead then
      send_off(q, leaving)
      q.left = q.left + #leaving
      set(q, 'dl', q.dl + #leaving)
      set(q, 'exp', q.exp + #gone - #leaving)
    else
      q.dropped = q.dropped + #gone
      set(q, 'drop', q.drop + #gone)
    end
  end
  return left and (#gone < messages or freed < bytes)
end

-- How many messages count towards a cap: those that are in the queue, and of one that forwards those on their way.
local function kept_in(q, caps)
  if not caps.forwards then return redis.call('HLEN', BODY) - 1 end
  read_more(q, 'to')
  return redis.call('HLEN', BODY) - 1 + q.to
end

-- How many messages and bytes are too many when `count` messages of `bytes` bytes come to a queue that may hold as much as
-- its caps say; 0 of a cap is no cap.
local function excess(q, caps, count, bytes)
  local messages = caps.messages > 0 and kept_in(q, caps) + count - caps.messages or 0
  return math.max(messages, 0), math.max(caps.bytes > 0 and q.by + q.gb + bytes - caps.bytes or 0, 0)
end

-- Tidies a queue that is full, and takes messages out of it where its caps say so. Returns true when that may go on: call again.
local function make_room(q, caps, count, bytes)
  local messages, over = excess(q, caps, count, bytes)
  if messages == 0 and over == 0 then return false end
  read_more(q, 'pop', 'tomb', 'exp', 'ag', 'vt', 'drop', 'dl', 'tl', 'to')
  local moved = tidy_due(q)
  tidy_expired(q, caps.retention, MOST)
  if moved > 0 then wake(q, q.fifo and offered(q) or moved, 0) end
  messages, over = excess(q, caps, count, bytes)
  -- What can never fit pushes nothing out.
  if not (caps.drop or caps.dead) or caps.messages > 0 and count > caps.messages or caps.bytes > 0 and bytes > caps.bytes then return false end
  return drop_oldest(q, caps, messages, over)
end

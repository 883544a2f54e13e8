--- @include "lib/pluck"
--- @include "lib/past"
--- @include "lib/states"
-- Brings the indexes up to the queue clock, at most MOST messages a call: leases and delays that have ended become
-- `again`, and what retention ends is deleted where nobody holds it. Every answer that depends on the time tidies
-- first, so nothing depends on a background task.

-- When something next becomes available by itself, in milliseconds, or 0. In a FIFO queue that may be what is behind a
-- message whose end comes.
local function next_due(q)
  local due = 0
  local first = redis.call('ZRANGE', FLIGHT, 0, 0, 'WITHSCORES')
  if first[1] ~= '' then due = lease_end(tonumber(first[2])) end
  first = redis.call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
  if first[1] ~= '' then
    local at = tonumber(first[2])
    if due == 0 or at < due then due = at end
  end
  if q.fifo and q.tt ~= 0 then
    first = redis.call('ZRANGE', EXPIRY, 0, 0, 'WITHSCORES')
    local at = first[1] ~= '' and tonumber(first[2])
    if at and (due == 0 or at < due) then due = at end
  end
  return due
end

-- Deletes messages whose own end has come, and marks those that somebody holds; and forgets states of groups. Returns how many groups of a FIFO queue
-- have their turn by it, and how many messages it looked at.
local function tidy_ends(q)
  local due = q.tt ~= 0 and redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', num(q.now), 'LIMIT', 0, MOST) or {}
  if #due == 0 then return 0, 0 end
  local gone, groups, tombs = {}, {}, 0
  for _, member in ipairs(due) do
    local id, lent = id_of(member), redis.call('ZSCORE', FLIGHT, member)
    if #member == 8 then
      forget_state(q, member)
      redis.call('ZREM', EXPIRY, member)
    elseif lent and lease_end(tonumber(lent)) > q.now then
      local d, r, f, first, rest = read_side(past(q, 'F', id, lent))
      local own, said = split_rest(rest)
      redis.call('HSET', SIDE, id, write_side(d, r, f, first, own .. ',x' .. said))
      forget_ends(q, { member })
    else
      gone[#gone + 1] = id
      if note then note(q, 'x', id, nil, 0, 0, 't') end
      tombs = tombs + pluck(q, id, member, groups)
    end
  end
  if #gone > 0 then remove_records(q, gone) end
  if tombs > 0 then set(q, 'tomb', q.tomb + tombs) end
  set(q, 'exp', q.exp + #gone)
  local turns = regroup(q, groups)
  return q.fifo and turns or 0, #due
end

-- Moves what is due to `again`, or back to its group, and messages that wait for their back-off to `delayed`. Returns how
-- many became available, and how many it moved. Nothing is before `nd`, which spares most calls the look. A first lease
-- without a side record lasted for just `vt`, which gives its beginning.
local NEVER = 2 ^ 52
local function tidy_due(q)
  local freed, ended = tidy_ends(q)
  if q.nd > q.now then return freed, ended end
  local members, ids, side, again, age, later = {}, {}, {}, {}, {}, {}
  local entries, groups, gone, left = {}, {}, {}, {}
  local function available(member, since)
    if grouped(member) then
      entries[#entries + 1] = 0
      entries[#entries + 1] = entry_of(member)
      touch(groups, group_of(member))
    else
      again[#again + 1] = since
      again[#again + 1] = member
      age[#age + 1] = num(made(member))
      age[#age + 1] = member
    end
  end
  local due = redis.call('ZRANGEBYSCORE', FLIGHT, '-inf', '(' .. lease_bound(q.now), 'WITHSCORES', 'LIMIT', 0, MOST)
  for i = 1, #due, 2 do
    members[#members + 1] = due[i]
    ids[#ids + 1] = id_of(due[i])
  end
  if #ids > 0 then
    local old = redis.call('HMGET', SIDE, unpack(ids))
    for i, id in ipairs(ids) do
      local lapsed = lease_end(tonumber(due[2 * i]))
      local d, r, f, first, rest = read_side(old[i])
      if first == 0 then first = lapsed - q.vt end
      local till = lapsed + backoff(q, id, f + 1, rest)
      local over = string.find(split_rest(rest), ',x', 1, true)
      if note then
        note(q, 'l', id, nil, d + 1, not over and till > q.now and till, '', lapsed)
        if over then note(q, 'x', id, nil, 0, 0, 't') end
      end
      if not over then
        side[#side + 1] = id
        side[#side + 1] = write_side(d + 1, r + 1, f + 1, first, rest)
      end
      if over then
        gone[#gone + 1] = id
        if grouped(members[i]) then
          left[#left + 1] = entry_of(members[i])
          touch(groups, group_of(members[i]))
        end
      elseif till > q.now then
        later[#later + 1] = num(till)
        later[#later + 1] = members[i]
        if grouped(members[i]) and q.fifo then touch(groups, group_of(members[i])) end
      else
        available(members[i], rank(till, rest))
      end
    end
    redis.call('ZREM', FLIGHT, unpack(members))
    if #side > 0 then redis.call('HSET', SIDE, unpack(side)) end
    if #gone > 0 then
      remove_records(q, gone)
      redis.call('HDEL', SIDE, unpack(gone))
      set(q, 'exp', q.exp + #gone)
    end
    if #left > 0 then redis.call('ZREM', MEMBERS, unpack(left)) end
    if #later > 0 then redis.call('ZADD', DELAYED, unpack(later)) end
  end
  if #ids < MOST then
    due = redis.call('ZRANGEBYSCORE', DELAYED, '-inf', num(q.now), 'WITHSCORES', 'LIMIT', 0, MOST - #ids)
    local late, plain = {}, {}
    for i = 1, #due, 2 do
      late[#late + 1] = due[i]
      plain[#plain + 1] = id_of(due[i])
    end
    local known = #late > 0 and redis.call('HLEN', SIDE) > 1 and redis.call('HMGET', SIDE, unpack(plain)) or {}
    for i, member in ipairs(late) do
      local _, _, _, _, rest = read_side(known[i])
      available(member, rank(tonumber(due[2 * i]), rest))
    end
    if #late > 0 then redis.call('ZREM', DELAYED, unpack(late)) end
  end
  if #again > 0 then
    redis.call('ZADD', AGAIN, unpack(again))
    redis.call('ZADD', AGE, unpack(age))
    if q.ag == 0 then set(q, 'ag', 1) end
  end
  if #groups > 0 then
    if not q.fifo and #entries > 0 then redis.call('ZADD', MEMBERS, unpack(entries)) end
    regroup(q, groups)
  end
  local due = next_due(q)
  set(q, 'nd', due > 0 and due or NEVER)
  local ready = (#again + #entries) / 2
  return freed + ready, ended + ready + #later / 2 + #gone
end

-- Deletes up to `most` available messages whose retention has ended, and returns how many, or MOST if there may be more. The ids tell when they were sent by their makers'
-- clocks, which may be off by the tolerance; near the end the record decides.
local function tidy_expired(q, retention, most)
  local gone, bytes, popped, cut = {}, 0, 0, false
  local function expired(id)
    local record = redis.call('HGET', BODY, id)
    if not record then return true, false end
    bytes = bytes + #record
    if sent(record) + retention > q.now then return false, true end
    if note then note(q, 'x', id, nil, 0, 0, 'r') end
    return true, true
  end
  local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
  for _, id in ipairs(redis.call('LRANGE', READY, skip, skip + most - 1)) do
    if bytes > BYTES or made(id) + retention > q.now + WITNESS_TOLERANCE then
      -- A message deleted by id leaves its entry in the list; at the head it can go.
      if q.tomb == 0 or redis.call('HEXISTS', BODY, id) == 1 then
        cut = bytes > BYTES
        break
      end
    end
    local over, stored = expired(id)
    if not over then
      if popped == 0 then bytes = 0 end
      break
    end
    popped = popped + 1
    if stored then gone[#gone + 1] = id else set(q, 'tomb', q.tomb - 1) end
  end
  if popped > 0 then
    pop_ready(popped + skip)
    set(q, 'pop', q.pop + popped)
  end
  local returned, groups, entries, looked = {}, {}, {}, popped
  -- Deletes what has ended at the head of a group.
  local function expire_group(group)
    touch(groups, group)
    for _, entry in ipairs(group_entries(group, most - looked)) do
      local member = member_at(entry)
      local over
      if q.fifo then
        local kept = redis.call('ZSCORE', FLIGHT, member) or redis.call('ZSCORE', DELAYED, member)
        over = placed(member) + retention <= q.now and not kept
        if over and note then note(q, 'x', id_of(member), nil, 0, 0, 'r') end
      else
        over = expired(id_of(member))
      end
      if not over then break end
      looked = looked + 1
      entries[#entries + 1] = entry
      gone[#gone + 1] = id_of(member)
      cut = cut or bytes > BYTES
      if cut then break end
    end
  end
  if popped < most then
    local till = num(q.now - retention + WITNESS_TOLERANCE)
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', AGE, '-inf', till, 'LIMIT', 0, most - popped)) do
      cut = cut or bytes > BYTES
      if cut or looked >= most then break end
      if #id == 8 then
        expire_group(id)
      elseif expired(id) then
        looked = looked + 1
        returned[#returned + 1] = id
        gone[#gone + 1] = id
      end
    end
  end
  if #returned > 0 then
    redis.call('ZREM', AGAIN, unpack(returned))
    redis.call('ZREM', AGE, unpack(returned))
    redis.call('HDEL', SIDE, unpack(returned))
  end
  if #entries > 0 then
    redis.call('ZREM', MEMBERS, unpack(entries))
    redis.call('HDEL', SIDE, unpack(gone))
    regroup(q, groups)
  end
  if #gone > 0 then
    remove_records(q, gone)
    for _, entry in ipairs(entries) do gone[#gone + 1] = member_at(entry) end
    forget_ends(q, gone)
    set(q, 'exp', q.exp + #gone - #entries)
  end
  local n = popped + #returned + #entries
  -- Where the bound in bytes has stopped it there may be more to do, as after a hundred.
  return cut and n > 0 and MOST or n
end

--- @include "lib/index"
-- Messages that belong to groups. A group is named by a digest of its name (8 bytes), and a message has a place in it: its
-- sequence number (7 bytes), which grows over the whole queue and follows the clock, so that it also says when the
-- message came to this queue. Two groups with one digest, should they ever meet, would take turns as one.
-- The member of an ordered index that stands for such a message is its id, group and place; other messages' member is
-- their id alone.
-- In a FIFO queue `members` has all messages, and a group's first one decides when the next can be received: while it is
-- held or delayed it blocks those behind it. In a standard queue `members` has those that are available, and groups do
-- nothing but take turns.

-- A time as a score of `groups`, which are those of leases.
local function turn(time) return (time - EPOCH) * FENCE end

local function pack_place(seq)
  local b = {}
  for i = 7, 1, -1 do
    b[i] = seq % 256
    seq = math.floor(seq / 256)
  end
  return string.char(unpack(b))
end

-- The time at which a message came to the queue, by its member.
local function placed(member)
  local a, b, c, d, e, f, g = string.byte(member, 21, 27)
  return math.floor(((((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g) / FENCE) + EPOCH
end

local function grouped(member) return #member > 12 end
local function id_of(member) return string.sub(member, 1, 12) end
local function group_of(member) return string.sub(member, 13, 20) end
-- A member as it stands in `members`, and back.
local function entry_of(member) return string.sub(member, 13) .. string.sub(member, 1, 12) end
local function member_at(entry) return string.sub(entry, 16) .. string.sub(entry, 1, 15) end
-- The member of a message by its record.
local function member_of(id, record)
  if string.byte(record, 1) == 1 then return id .. string.sub(record, 8, 22) end
  return id
end

-- The first `most` entries of a group, oldest first, from the one with index `from` on (default 0).
local function group_entries(group, most, from)
  return redis.call('ZRANGEBYLEX', MEMBERS, '[' .. group, '[' .. group .. '\255', 'LIMIT', from or 0, most)
end

-- Notes that a group is to be looked at by regroup.
local function touch(groups, group)
  if groups[group] then return end
  groups[group] = true
  groups[#groups + 1] = group
end

-- Puts groups where they belong after their messages have changed, and returns how many have their turn now. One that
-- had its turn is behind all others; in a standard queue one that waits for it keeps its place.
local function regroup(q, groups)
  local turns, ages, empty, held_up, now = {}, {}, {}, {}, 0
  local waiting = q.fifo and held(DELAYED) > 0
  for i, group in ipairs(groups) do
    local first = group_entries(group, 1)[1]
    if not first then
      empty[#empty + 1] = group
    else
      local member = member_at(first)
      local lent = q.fifo and redis.call('ZSCORE', FLIGHT, member)
      local due = waiting and not lent and redis.call('ZSCORE', DELAYED, member)
      if lent or due then
        held_up[#held_up + 1] = group
        turns[#turns + 1] = lent or num(turn(tonumber(due)))
      else
        now = now + 1
        turns[#turns + 1] = num(turn(q.now) + i % FENCE)
        ages[#ages + 1] = num(placed(member) + WITNESS_TOLERANCE)
        ages[#ages + 1] = group
      end
      turns[#turns + 1] = group
    end
  end
  if #turns > 0 then
    if q.fifo then redis.call('ZADD', GROUPS, unpack(turns)) else redis.call('ZADD', GROUPS, 'NX', unpack(turns)) end
  end
  if #ages > 0 then redis.call('ZADD', AGE, unpack(ages)) end
  if #held_up > 0 then redis.call('ZREM', AGE, unpack(held_up)) end
  if #empty > 0 then
    redis.call('ZREM', GROUPS, unpack(empty))
    redis.call('ZREM', AGE, unpack(empty))
  end
  return now
end

-- Whether the retention of a message that nobody holds has ended. In a FIFO queue it counts from when the message came,
-- and not while the group's first message is held or delayed: what is behind that one stays until it is settled.
local function outlived(q, member, record, retention)
  if not q.fifo then return sent(record) + retention <= q.now end
  if placed(member) + retention > q.now then return false end
  local first = member_at(group_entries(group_of(member), 1)[1])
  return not redis.call('ZSCORE', FLIGHT, first) and not redis.call('ZSCORE', DELAYED, first)
end

-- How many receives could be served with one message each.
local function offered(q)
  if q.fifo then return redis.call('ZCOUNT', GROUPS, '-inf', '(' .. lease_bound(q.now)) end
  return listed() - q.tomb + held(AGAIN) + (q.gr ~= 0 and held(MEMBERS) or 0)
end

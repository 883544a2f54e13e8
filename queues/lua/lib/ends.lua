--- @include "lib/groups"
-- Messages that have an end of their own. `expiry` has them by it, and `tt` of the head says that there ever was one.
-- One that somebody holds at its end leaves `expiry` and is marked in its side record with ",x": it ends when its lease
-- does.

-- Whether the end of a message that nobody holds has come.
local function has_ended(q, member)
  if q.tt == 0 then return false end
  local at = redis.call('ZSCORE', EXPIRY, member)
  if at then return tonumber(at) <= q.now end
  local known = redis.call('HGET', SIDE, id_of(member))
  local _, _, _, _, rest = read_side(known)
  return string.find(split_rest(rest), ',x', 1, true) ~= nil
end

-- Forgets the ends of messages that are gone.
local function forget_ends(q, members)
  if q.tt ~= 0 and #members > 0 then redis.call('ZREM', EXPIRY, unpack(members)) end
end

-- Forgets the end of a message that leaves for another queue, and returns what its side record is to have behind the
-- numbers: it may have to come back, and then `,t` tells its end.
local function take_end(q, member, rest)
  if q.tt == 0 then return rest end
  local own, said = split_rest(rest)
  local at = redis.call('ZSCORE', EXPIRY, member) or string.find(own, ',x', 1, true) and q.now
  if not at then return rest end
  redis.call('ZREM', EXPIRY, member)
  own = string.gsub(own, ',x', '')
  return own .. ',t' .. num(tonumber(at)) .. said
end

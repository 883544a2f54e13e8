--- @include "lib/groups"
--- @include "lib/retry"
--- @include "lib/ends"
-- Takes messages out of a queue by their ids, wherever they are.

-- The member of a message. Only its record tells to which group it belongs; a queue that never had any needs no look.
local function find(q, id)
  if q.gr == 0 then return id end
  local record = redis.call('HGET', BODY, id)
  return record and member_of(id, record) or id
end

local function is_held(q, member)
  local lent = redis.call('ZSCORE', FLIGHT, member)
  return lent and lease_end(tonumber(lent)) > q.now
end

-- Whether a message has ended, which is only waiting to be tidied away: "t" by itself, "r" by retention. Retention does not
-- end one that is held or delayed, its own end one that is held. Most ids tell by themselves that retention has not.
local function over(q, id, member, retention)
  if q.tt ~= 0 and not is_held(q, member) and has_ended(q, member) then return 't' end
  if made(id) + retention > q.now + WITNESS_TOLERANCE then return false end
  local record, lent, later = redis.call('HGET', BODY, id), redis.call('ZSCORE', FLIGHT, member), redis.call('ZSCORE', DELAYED, member)
  if lent and waits_till(q, id, tonumber(lent)) > q.now or later and tonumber(later) > q.now then return false end
  return record and outlived(q, member, record, retention) and 'r'
end

-- Removes a message from all indexes, and notes its group in groups. Returns 1 when its id stays in the list, which cannot
-- be searched: whoever meets it there finds no body.
local function pluck(q, id, member, groups)
  local indexed = redis.call('ZREM', FLIGHT, member) + redis.call('ZREM', AGAIN, id) + redis.call('ZREM', DELAYED, member)
  redis.call('ZREM', AGE, id)
  redis.call('HDEL', SIDE, id)
  forget_ends(q, { member })
  if grouped(member) then
    redis.call('ZREM', MEMBERS, entry_of(member))
    touch(groups, group_of(member))
    return 0
  end
  return indexed == 0 and 1 or 0
end

-- The states of groups of a FIFO queue: a small value of each that whoever holds a message of the group reads and writes.
-- `states` has them by the group, `expiry` the groups by when that ends, and `gb` of the head counts their bytes.

-- Forgets the state of a group, and returns whether it had one.
local function forget_state(q, group)
  local size = redis.call('HSTRLEN', STATES, group)
  if size == 0 then return false end
  if not q.gb then read_more(q, 'gb') end
  redis.call('HDEL', STATES, group)
  set(q, 'gb', q.gb - size)
  return true
end

-- Forgets up to MOST states that have ended.
local function forget_ended_states(q)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', num(q.now), 'LIMIT', 0, MOST)) do
    if forget_state(q, member) then redis.call('ZREM', EXPIRY, member) end
  end
end

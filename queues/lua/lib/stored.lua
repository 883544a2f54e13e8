-- How much a queue has stored of what its tenant may. The head has in `gt` how many bytes the queue may fill without asking,
-- in `gs` the number of that (see tenants/lua/lib/stored.lua), and in `tb` the bytes that are on their way to other queues.
-- WEIGHT is what counts for a message, and for a deduplication key, beside its bytes.
local WEIGHT = 100

local function stored(q)
  read_more(q, 'gb', 'tb', 'to', 'gt', 'gs')
  return q.by + q.gb + q.tb + WEIGHT * (redis.call('HLEN', BODY) + q.to + redis.call('LLEN', ORDER) - 2)
end

-- How many bytes more it may fill; below 0 where it has filled more than that, before there was a limit.
local function room_left(q)
  local used = stored(q)
  return q.gt - used
end

-- The answer that the queue must be granted more: "short", how many bytes it wants to fill in all, its grant, the number of
-- that, how many it has filled, and what else there is to say.
local function short(q, more, ...)
  local used = stored(q)
  return { 'short', num(used + more), num(q.gt), num(q.gs), num(used), ... }
end

-- How much a topic has stored of what its tenant may. The head has in `gt` how many bytes the topic may fill without asking, and
-- in `gs` the number of that (see tenants/lua/lib/stored.lua). WEIGHT is what counts for a message, and for a deduplication
-- key, beside its bytes.
local WEIGHT = 100

local function stored(q)
  return q.by + WEIGHT * (redis.call('ZCARD', INDEX) + redis.call('LLEN', ORDER) - 2)
end

-- Stores a task of a tenant, and forgets the oldest beyond the bound. It may be the record of work that makes room.
-- KEYS[1] HASH the tenant
-- KEYS[2] HASH task id to JSON
-- ARGV[3] task id, which sorts by time
-- ARGV[4] task, JSON
-- ARGV[5] how many tasks are kept
-- Returns: "ok", or "no_tenant"
-- Flags: allow-oom
-- Again: the second call stores the same.
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return 'no_tenant' end

-- Whether id a stands before b, byte by byte: Lua's own < follows the locale of the Redis server.
local function before(a, b)
  for i = 1, #a do
    local x, y = string.byte(a, i), string.byte(b, i) or -1
    if x ~= y then return x < y end
  end
  return false
end

redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
local over = redis.call('HLEN', KEYS[2]) - tonumber(ARGV[5])
-- Each call adds one, so there is one too many at most; a few more when the bound was lowered.
for _ = 1, math.min(over, 10) do
  local ids = redis.call('HKEYS', KEYS[2])
  local oldest = ids[1]
  for i = 2, #ids do
    if before(ids[i], oldest) then oldest = ids[i] end
  end
  redis.call('HDEL', KEYS[2], oldest)
end
return 'ok'

-- Adds requests that a server has noted to the request log of a tenant, and drops the oldest that are beyond the bounds.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH id of a part to the instant when it came, 13 digits of milliseconds since 1970, and its requests, JSON; field "" the bytes of all
-- KEYS[3] ZSET instant and id of each part, all with score 0
-- ARGV[3] id of the part
-- ARGV[4] its requests, JSON
-- ARGV[5] how many bytes are kept
-- ARGV[6] how long they are kept, in milliseconds
-- Returns: "ok", or "gone" when there is no such tenant
-- Flags: none
-- Again: the part is there, and nothing is added.
--- @include "lib/clock"
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return 'gone' end
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then return 'ok' end
local _, _, now = read_clock(0)
local instant = string.format('%013.0f', now)
redis.call('HSET', KEYS[2], ARGV[3], instant .. ARGV[4])
redis.call('ZADD', KEYS[3], 0, instant .. ARGV[3])
local bytes = redis.call('HINCRBY', KEYS[2], '', #ARGV[4] + 100) -- 100 for what a part takes besides
for _ = 1, 100 do
  local oldest = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
  local id = string.sub(oldest, 14)
  if id == ARGV[3] or (bytes <= tonumber(ARGV[5]) and tonumber(string.sub(oldest, 1, 13)) >= now - tonumber(ARGV[6])) then break end
  bytes = redis.call('HINCRBY', KEYS[2], '', 13 - 100 - redis.call('HSTRLEN', KEYS[2], id))
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[3], oldest)
end
-- Readers go by the instants. This only makes room once a tenant is silent.
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('PEXPIRE', KEYS[3], ARGV[6])
return 'ok'

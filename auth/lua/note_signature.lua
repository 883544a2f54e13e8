-- Notes that a request has used its signature, for as long as that is valid.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH signature to the request that used it
-- KEYS[3] ZSET signatures by when they end, in milliseconds since 1970
-- ARGV[3] the signature
-- ARGV[4] id of the request
-- ARGV[5] how long the signature is valid, in milliseconds
-- Returns: "ok"; "used" when another request has used it; or "gone" when there is no such tenant
-- Flags: allow-oom
-- Again: the request finds itself.
--- @include "lib/clock"
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return 'gone' end
local _, _, now = read_clock(0)
for _, over in ipairs(redis.call('ZRANGE', KEYS[3], '-inf', '(' .. string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[3], over)
  redis.call('HDEL', KEYS[2], over)
end
if redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4]) == 0 then
  if redis.call('HGET', KEYS[2], ARGV[3]) == ARGV[4] then return 'ok' end
  return 'used'
end
redis.call('ZADD', KEYS[3], string.format('%.0f', now + tonumber(ARGV[5])), ARGV[3])
-- This makes room once a tenant is silent.
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[5]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
end
return 'ok'

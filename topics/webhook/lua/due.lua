-- Finds the webhooks of a shard at which it is time to look, and leaves them to the caller for a while.
-- KEYS[1] ZSET ready: webhooks of the shard by when somebody has to look at them
-- ARGV[3] how many at most
-- ARGV[4] milliseconds: for how long
-- Returns: in how many milliseconds the next one is due, or -1; then those that are due, the earliest first
-- Flags: allow-oom
-- Again: what the first call has named is due again after that time.
--- @include "lib/clock"
local now = read_clock(0)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, tonumber(ARGV[3]))
local out = { '-1' }
for _, member in ipairs(found) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[4])), member)
  out[#out + 1] = member
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[1] and first[1] ~= '' then out[1] = string.format('%.0f', math.max(tonumber(first[2]) - now, 0)) end
return out

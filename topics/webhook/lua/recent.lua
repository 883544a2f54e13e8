-- Reads a part of the latest attempts of all of a tenant's webhooks in a shard, those that were noted last first.
-- KEYS[1] ZSET delivered or undelivered: see lib/hook.lua
-- ARGV[3] milliseconds: only those that were noted then or before
-- ARGV[4] milliseconds: and not before then
-- ARGV[5] how many of them are passed over
-- ARGV[6] how many at most
-- Returns: how many there are of all times, when the first of them was noted, or 0; then per attempt two: what KEYS[1] has, and when it was noted
-- Flags: no-writes
-- Again: it changes nothing.
local function num(n) return string.format('%.0f', n) end
local out = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[3], ARGV[4], 'WITHSCORES', 'LIMIT', tonumber(ARGV[5]), tonumber(ARGV[6]))
for i = 2, #out, 2 do out[i] = num(tonumber(out[i])) end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
table.insert(out, 1, num(tonumber(first[2] or '0')))
table.insert(out, 1, num(redis.call('ZCARD', KEYS[1])))
return out

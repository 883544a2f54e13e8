-- Deletes a plan that no tenant has.
-- KEYS[1] HASH whose field "" holds the mark
-- KEYS[2] HASH plan to record
-- KEYS[3] ZSET "<plan>/<tenant id>" of those that have or get the plan, all with score 0
-- KEYS[4] HASH tenant id to name
-- ARGV[3] name
-- ARGV[4] a new mark
-- ARGV[5] If-Match, or ""
-- ARGV[6] If-None-Match, or ""
-- Returns: "ok", "absent", "precondition", or "used" and how many tenants have it
-- Flags: allow-oom
-- Again: the second call finds nothing.
--- @include "lib/record"
--- @include "lib/plan"
local etag = split_plan(redis.call('HGET', KEYS[2], ARGV[3]))
if not etag then return { 'absent' } end
if not holds(etag, ARGV[5], ARGV[6]) then return { 'precondition' } end
local from, to = '[' .. ARGV[3] .. '/', '(' .. ARGV[3] .. '0' -- 0 follows /
local used = redis.call('ZLEXCOUNT', KEYS[3], from, to)
-- Tenants that are gone, or never came to be, are forgotten here: a hundred at a time.
local gone = {}
for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], from, to, 'LIMIT', 0, 100)) do
  if redis.call('HEXISTS', KEYS[4], string.sub(member, #ARGV[3] + 2)) == 0 then gone[#gone + 1] = member end
end
if #gone > 0 then redis.call('ZREM', KEYS[3], unpack(gone)) end
if used > #gone then return { 'used', string.format('%.0f', used - #gone) } end
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[1], '', ARGV[4])
return { 'ok' }

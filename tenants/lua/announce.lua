-- Notes that what holds for some tenant has changed, so that servers read again what they know, and which plan a tenant
-- has.
-- KEYS[1] HASH whose field "" holds the mark
-- KEYS[2] HASH plan to record: at most 100 plans
-- KEYS[3] ZSET "<plan>/<tenant id>" of those that have or get the plan, all with score 0
-- ARGV[3] a new mark
-- ARGV[4] tenant id
-- ARGV[5] its plan, or "" for none
-- Returns: "ok"
-- Flags: allow-oom
-- Again: servers read once more than they need.
redis.call('HSET', KEYS[1], '', ARGV[3])
local others = {}
for _, plan in ipairs(redis.call('HKEYS', KEYS[2])) do
  if plan ~= ARGV[5] then others[#others + 1] = plan .. '/' .. ARGV[4] end
end
if #others > 0 then redis.call('ZREM', KEYS[3], unpack(others)) end
return 'ok'

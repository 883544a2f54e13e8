-- Notes that a tenant is about to get a plan, which stays from here on until the tenant has another one.
-- KEYS[1] HASH plan to record
-- KEYS[2] ZSET "<plan>/<tenant id>" of those that have or get the plan, all with score 0
-- ARGV[3] plan
-- ARGV[4] tenant id
-- Returns: "ok", or "absent" when there is no such plan
-- Flags: none
-- Again: the second call finds it noted.
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then return 'absent' end
redis.call('ZADD', KEYS[2], 0, ARGV[3] .. '/' .. ARGV[4])
return 'ok'

-- Decides that an empty tenant is deleted. From here on nothing can be added to it.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH the tenant's queues; a field "" is no queue
-- ARGV[3] If-Match, or ""
-- ARGV[4] If-None-Match, or ""
-- Returns: "ok", "gone", "precondition" or "not_empty"
-- Flags: allow-oom
-- Again: the second call finds the decision.
--- @include "lib/record"
local state, etag = unpack(redis.call('HMGET', KEYS[1], 'state', 'etag'))
if not state then return 'gone' end
if state == 'deleting' then return 'ok' end
if not holds(etag, ARGV[3], ARGV[4]) then return 'precondition' end
if redis.call('HLEN', KEYS[2]) > redis.call('HEXISTS', KEYS[2], '') then return 'not_empty' end
redis.call('HSET', KEYS[1], 'state', 'deleting')
return 'ok'

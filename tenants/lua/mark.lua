-- Decides that a tenant is deleted: an empty one, or a suspended one with all that it has. From here on nothing can be
-- added to it.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH the tenant's queues; a field "" is no queue
-- ARGV[3] If-Match, or ""
-- ARGV[4] If-None-Match, or ""
-- ARGV[5] "1" to delete it with its queues, which must be suspended in mode all then
-- Returns: "ok", "gone", "precondition", "not_empty" or "not_suspended"
-- Flags: allow-oom
-- Again: the second call finds the decision.
--- @include "lib/clock"
--- @include "lib/record"
local state, etag, suspended = unpack(redis.call('HMGET', KEYS[1], 'state', 'etag', 'suspended'))
if not state then return 'gone' end
if state == 'deleting' then return 'ok' end
if not holds(etag, ARGV[3], ARGV[4]) then return 'precondition' end
if ARGV[5] == '1' then
  local _, _, now = read_clock(0)
  if not is_suspended(suspended, now) or not string.find(suspended, '^{"mode":"all"') then return 'not_suspended' end
elseif redis.call('HLEN', KEYS[2]) > redis.call('HEXISTS', KEYS[2], '') then
  return 'not_empty'
end
redis.call('HSET', KEYS[1], 'state', 'deleting')
return 'ok'

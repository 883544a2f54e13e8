-- Ends a deletion: the name is free again.
-- KEYS[1] HASH name to entry
-- KEYS[2] ZSET names, all with score 0
-- ARGV[3] name
-- ARGV[4] id
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing, or another tenant of that name, which has another id.
--- @include "lib/entry"
local state, id = split_entry(redis.call('HGET', KEYS[1], ARGV[3]))
if id == ARGV[4] and state == 'deleting' then
  redis.call('HDEL', KEYS[1], ARGV[3])
  redis.call('ZREM', KEYS[2], ARGV[3])
end
return 'ok'

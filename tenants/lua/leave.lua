-- Notes in the registry that a tenant is being deleted: its id and account lead nowhere any more, its name stays taken.
-- KEYS[1] HASH name to entry
-- KEYS[2] HASH id to name
-- KEYS[3] HASH account to id
-- ARGV[3] name
-- ARGV[4] id
-- Returns: "ok", or "gone" when the deletion is over
-- Flags: allow-oom
-- Again: the second call finds it noted.
--- @include "lib/entry"
local state, id, account, rest = split_entry(redis.call('HGET', KEYS[1], ARGV[3]))
if id ~= ARGV[4] then return 'gone' end
if state ~= 'deleting' then
  redis.call('HSET', KEYS[1], ARGV[3], table.concat({ 'deleting', id, account, rest }, ' '))
  redis.call('HDEL', KEYS[2], id)
  if redis.call('HGET', KEYS[3], account) == id then redis.call('HDEL', KEYS[3], account) end
end
return 'ok'

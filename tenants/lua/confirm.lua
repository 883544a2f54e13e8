-- Notes in the registry that a reserved tenant's record is written. See create for the flag.
-- KEYS[1] HASH name to entry
-- ARGV[3] name
-- ARGV[4] id
-- Returns: "ok", or "gone" when the tenant was deleted meanwhile
-- Flags: allow-oom
-- Again: the second call finds it noted.
--- @include "lib/entry"
local state, id, account, rest = split_entry(redis.call('HGET', KEYS[1], ARGV[3]))
if id ~= ARGV[4] or state == 'deleting' then return 'gone' end
if state == 'creating' then
  local etag, created = string.match(rest, '^(%w+) (%d+) ')
  redis.call('HSET', KEYS[1], ARGV[3], table.concat({ 'ready', id, account, etag, created, '' }, ' '))
end
return 'ok'

-- Notes in the registry that a tenant is being deleted: its id and account lead nowhere any more, its name stays taken. Its
-- account is given to no other tenant, for ARNs contain it; only that of the tenant "default" is.
-- KEYS[1] HASH name to entry
-- KEYS[2] HASH id to name
-- KEYS[3] HASH account to id, or "-" when that is gone
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
  if redis.call('HGET', KEYS[3], account) == id then
    if account == '000000000000' then
      redis.call('HDEL', KEYS[3], account)
    else
      redis.call('HSET', KEYS[3], account, '-')
    end
  end
end
return 'ok'

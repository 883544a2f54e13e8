-- Notes under which limit all holders of a tenant were counted; or forgets their grants, when there is no limit.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH stored, see lib/stored.lua
-- ARGV[3] bytes: the limit, or "" for none
-- Returns: "ok"
-- Flags: allow-oom
-- Again: it is noted already.
if ARGV[3] == '' then
  redis.call('UNLINK', KEYS[2])
elseif redis.call('HGET', KEYS[1], 'state') == 'active' then
  redis.call('HSET', KEYS[2], 'limit', ARGV[3])
end
return { 'ok' }
